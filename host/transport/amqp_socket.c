/* The connecting part of amqp_conn.h: TCP and TLS.
 *
 * Plain connections we open ourselves: rabbitmq-c does not tell why it could not, and cannot be
 * broken off when the transport closes. TLS ones it opens, for the session is its own. */
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/amqp_conn.h"

static int prepare_tls(struct tf_amqp_conn *c, amqp_socket_t **out, struct tf_err *err)
{
	const struct tf_amqp_options *o = &c->shared->options;
	amqp_socket_t *s = amqp_ssl_socket_new(c->state);

	if (!s)
		return tf_err_set(err, TF_EIO, "%s: TLS cannot be initialised", c->where);
	*out = s;
	amqp_ssl_socket_set_verify_peer(s, o->verify);
	amqp_ssl_socket_set_verify_hostname(s, o->verify && o->check_hostname);
	amqp_ssl_socket_set_ssl_versions(s, AMQP_TLSv1_2, AMQP_TLSvLATEST);
	if (o->verify && !o->ca_certs)
		return tf_err_set(err, TF_EINVAL,
			"%s: no authorities to verify the broker's certificate with: give ssl.ca_certs",
			c->where);
	if (o->ca_certs && amqp_ssl_socket_set_cacert(s, o->ca_certs) != AMQP_STATUS_OK)
		return tf_err_set(
			err, TF_EINVAL, "%s: ca_certs: no PEM certificates in \"%s\"", c->where, o->ca_certs);
	if (o->certfile && amqp_ssl_socket_set_key(s, o->certfile, o->keyfile) != AMQP_STATUS_OK)
		return tf_err_set(err, TF_EINVAL,
			"%s: no certificate with its private key in \"%s\" and \"%s\"", c->where, o->certfile,
			o->keyfile);
	return 0;
}

/* Wait for a connection under way; errno of its failure, 0 when it is there. */
static int await_connected(struct tf_amqp_conn *c, int fd, uint64_t deadline)
{
	struct pollfd p[2] = {
		{.fd = fd, .events = POLLOUT},
		{.fd = c->link->eventfd, .events = POLLIN},
	};
	int failure = 0;
	socklen_t len = sizeof(failure);
	uint64_t now, limit;

	while ((now = tf_amqp_now()) < deadline) {
		if (poll(p, 2, (int)(deadline - now)) < 0)
			continue;
		if (p[0].revents)
			return getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &len) < 0 ? errno : failure;
		if (p[1].revents)
			tf_amqp_link_clear_wake(c->link);
		if (!tf_amqp_link_stopping(c->shared, c->link, &limit))
			continue;
		if (c->link == &c->shared->consumer)
			return ECANCELED;
		deadline = limit < deadline ? limit : deadline; /* there is something to flush */
	}
	return ETIMEDOUT;
}

static int dial_address(struct tf_amqp_conn *c, const struct addrinfo *a, uint64_t deadline)
{
	const int on = 1;
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), failure = 0;

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, a->ai_addr, a->ai_addrlen) < 0)
		failure = errno == EINPROGRESS ? await_connected(c, fd, deadline) : errno;
	if (failure == 0)
		return fd;
	close(fd);
	errno = failure;
	return -1;
}

/* A connected, non-blocking socket, or an error code. */
static int dial(struct tf_amqp_conn *c, const struct tf_url *url, struct tf_err *err)
{
	const uint64_t deadline = tf_amqp_now() + (uint64_t)(c->shared->options.connect_timeout * 1000);
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list, *a;
	char port[16];
	int rc, fd = -1;

	snprintf(port, sizeof(port), "%d", url->port);
	rc = getaddrinfo(url->host, port, &hints, &list);
	if (rc != 0)
		return tf_err_set(
			err, TF_EIO, "%s: check the host of the URL: %s", c->where, gai_strerror(rc));
	for (a = list; a && fd < 0; a = a->ai_next)
		fd = dial_address(c, a, deadline);
	freeaddrinfo(list);
	return fd < 0 ? tf_err_sys(err, "%s: cannot connect", c->where) : fd;
}

static int open_plain(struct tf_amqp_conn *c, const struct tf_url *url, struct tf_err *err)
{
	amqp_socket_t *s = amqp_tcp_socket_new(c->state);
	int fd = dial(c, url, err);

	TF_ASSERT(s);
	if (fd < 0)
		return fd;
	amqp_tcp_socket_set_sockfd(s, fd);
	return 0;
}

static int open_tls(struct tf_amqp_conn *c, const struct tf_url *url, struct tf_err *err)
{
	struct timeval tv = tf_amqp_seconds(c->shared->options.connect_timeout);
	amqp_socket_t *s = NULL;
	int rc = prepare_tls(c, &s, err);

	if (rc < 0)
		return rc;
	rc = amqp_socket_open_noblock(s, url->host, url->port, &tv);
	if (rc == AMQP_STATUS_OK)
		return 0;
	if (rc == AMQP_STATUS_SOCKET_ERROR || rc == AMQP_STATUS_HOSTNAME_RESOLUTION_FAILED) {
		int fd = dial(c, url, err); /* to find out why */

		if (fd < 0)
			return fd;
		close(fd);
	}
	errno = 0;
	return tf_amqp_conn_failed(c, "cannot connect", rc, err);
}

int tf_amqp_conn_open_socket(struct tf_amqp_conn *c, const struct tf_url *url, struct tf_err *err)
{
	int rc = c->tls ? open_tls(c, url, err) : open_plain(c, url, err);

	if (rc < 0)
		return rc;
	c->fd = amqp_get_sockfd(c->state);
	pthread_mutex_lock(&c->link->fd_lock);
	c->link->fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
	pthread_mutex_unlock(&c->link->fd_lock);
	return 0;
}
