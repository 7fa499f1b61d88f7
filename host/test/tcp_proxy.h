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
/* Cut a connection when its client has sent `bytes` more, in the middle of whatever that is; 0: never. */
void tcp_proxy_cut_after(struct tcp_proxy *p, size_t bytes);
size_t tcp_proxy_accepted(struct tcp_proxy *p);
/* Copy of what the clients of the `i`th connection sent so far; caller frees. NULL: no such. */
char *tcp_proxy_sent(struct tcp_proxy *p, size_t i, size_t *len);

#endif
