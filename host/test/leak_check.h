/* What LeakSanitizer does at the exit of a process. */
#ifndef TF_TEST_LEAK_CHECK_H
#define TF_TEST_LEAK_CHECK_H

/* Not in this process and those it forks: for loaders and slots. It looks from a process of its own, which outlives
 * one that is killed meanwhile, and would be counted as an orphan of ours. */
void leak_check_skip(void);

#endif
