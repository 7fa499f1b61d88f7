/* A TCP proxy on a thread of its own, to see and to spoil what goes between a client and a server. */
#ifndef TF_TEST_TCP_PROXY_H
#define TF_TEST_TCP_PROXY_H

#include <stdbool.h>
#include <stddef.h>

struct tcp_proxy;

/* Forwards to 127.0.0.1:`port`; listens on a free port of the loopback interface. */
struct tcp_proxy *tcp_proxy_new(int port);
int tcp_proxy_port(const struct tcp_proxy *p);
void tcp_proxy_delete(struct tcp_proxy *p);

void tcp_proxy_cut(struct tcp_proxy *p);                 /* reset all connections */
void tcp_proxy_refuse(struct tcp_proxy *p, bool refuse); /* reset new ones at once */
void tcp_proxy_stall(struct tcp_proxy *p, bool stall);   /* forward nothing, keep all open */
/* Half-open: neither side of the connections there are now hears of the other again. New ones are not concerned. */
void tcp_proxy_lose(struct tcp_proxy *p);
/* What is read is sent `ms` later, and up to `jitter` ms more; in order. 0, 0: at once. */
void tcp_proxy_delay(struct tcp_proxy *p, unsigned ms, unsigned jitter);
/* `bytes` at most in a piece, and a piece a millisecond, each way. 0: no limit. */
void tcp_proxy_slice(struct tcp_proxy *p, size_t bytes);
/* Cut a connection when its client has sent `bytes` more, in the middle of whatever that is; 0: never. */
void tcp_proxy_cut_after(struct tcp_proxy *p, size_t bytes);
size_t tcp_proxy_accepted(struct tcp_proxy *p); /* connections so far, without those refused */
/* Copy of what the clients of the `i`th connection sent so far; caller frees. NULL: no such. */
char *tcp_proxy_sent(struct tcp_proxy *p, size_t i, size_t *len);

#endif
