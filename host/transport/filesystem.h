/* The transport that is a directory: kombu's filesystem transport (PROTOCOL.md 12), for any number of
 * engines and workers on one machine or on one shared disk, Python's among them.
 *
 * transport_options, with kombu's names and defaults; relative folders are below the working directory:
 *
 *   data_folder_in    "data_in"     where we read
 *   data_folder_out   "data_out"    where we write; usually the same folder as data_folder_in
 *   store_processed   false         keep settled messages ...
 *   processed_folder  "processed"   ... here
 *   polling_interval  1.0           seconds between looks at the folder where the kernel does not tell
 *                                   of new files (no inotify, a network disk)
 *   control_folder    "control"     kombu >= 5.3's exchange tables; not touched, but for:
 *
 * and ours:
 *
 *   register          false         have the queues that we consume in the exchange table; needed only for
 *                                   senders that do not do it, as TaskFlow's peers do (PROTOCOL.md 12.5)
 *   fsync             false         a published message is on the disk before it is confirmed
 *   watch             true          use inotify; false: polling alone
 *
 * "filesystem:///some/folder" sets both data folders, unless options do. Missing folders are created.
 *
 * Where we differ from kombu: files appear whole (written aside, renamed); a message is claimed by
 * rename and removed when it is settled, so that a killed process loses nothing; queue names match
 * exactly, ages as numbers; a requeued or returned message goes back where we read, under its old
 * name; what is no message is set aside in <data_folder_in>/.tfhost-quarantine. There is no broker
 * that could tell that nobody reads a topic: TF_RETURNED never happens. On close, unread files of a
 * consumed queue whose topic is a UUID (an engine's own) are removed.
 */
#ifndef TF_TRANSPORT_FILESYSTEM_H
#define TF_TRANSPORT_FILESYSTEM_H

#include "transport/transport.h"

extern const struct tf_transport_ops tf_transport_filesystem;

#endif
