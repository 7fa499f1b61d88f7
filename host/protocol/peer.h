/* What tfhost peers tell each other in the x-tfhost header (TF_PEER_HEADER), a compact JSON object.
 * Python peers never see a difference: bodies are unchanged (ARCHITECTURE 4).
 *
 *   REQUEST:   {"v":1,"round":R,"dispatch":D}        engine -> worker
 *   RESPONSE:  {"v":1,"worker":W,"round":R,"dispatch":D}
 *   NOTIFY:    {"v":1,"worker":W}   answer, and beat  worker -> engine;  {"v":1} probe
 * W is the worker's uuid, which is also the topic of its private queue. Unknown members are ignored.
 */
#ifndef TF_PROTOCOL_PEER_H
#define TF_PROTOCOL_PEER_H

#include <stdbool.h>
#include <stdint.h>

struct tf_peer {
	bool present; /* the other side is tfhost */
	char worker[37]; /* "" if absent */
	int64_t round; /* raised with each retry or reset of the atom; -1 if absent */
	int64_t dispatch; /* raised with each sending of the same round; -1 if absent */
};

/* Never fails: anything but a well-formed header is "not present". text may be NULL. */
struct tf_peer tf_peer_parse(const char *text);
/* Writes the header into buf (at least TF_PEER_MAX bytes), returns buf. */
#define TF_PEER_MAX 160
const char *tf_peer_write(const struct tf_peer *p, char buf[TF_PEER_MAX]);

#endif
