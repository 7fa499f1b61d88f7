/* usage: fault_proxy PORT FIFO
 *
 * tcp_proxy.h as a program, for specs (fault_proxy.lua). Forwards to that port, prints the one it listens on, makes
 * FIFO and does what is written to it, one of these a line:
 *
 *   cut | refuse | accept | stall | flow | lose | delay MS JITTER | slice BYTES
 *
 * It prints "done" and the line's number then. Ends by a signal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tcp_proxy.h"

static bool obey(struct tcp_proxy *p, const char *line)
{
	unsigned a, b;

	if (strcmp(line, "cut") == 0)
		tcp_proxy_cut(p);
	else if (strcmp(line, "refuse") == 0 || strcmp(line, "accept") == 0)
		tcp_proxy_refuse(p, line[0] == 'r');
	else if (strcmp(line, "stall") == 0 || strcmp(line, "flow") == 0)
		tcp_proxy_stall(p, line[0] == 's');
	else if (strcmp(line, "lose") == 0)
		tcp_proxy_lose(p);
	else if (sscanf(line, "delay %u %u", &a, &b) == 2)
		tcp_proxy_delay(p, a, b);
	else if (sscanf(line, "slice %u", &a) == 1)
		tcp_proxy_slice(p, a);
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	struct tcp_proxy *proxy;
	unsigned count = 0;
	char line[128];
	FILE *fifo;

	if (argc != 3 || mkfifo(argv[2], 0600) < 0)
		return 64;
	proxy = tcp_proxy_new(atoi(argv[1]));
	printf("port %d\n", tcp_proxy_port(proxy));
	fflush(stdout);
	/* Open for writing, too: it does not end with a writer. */
	fifo = fopen(argv[2], "r+");
	while (fifo && fgets(line, sizeof(line), fifo)) {
		line[strcspn(line, "\n")] = 0;
		if (!obey(proxy, line))
			return 64;
		printf("done %u\n", ++count);
		fflush(stdout);
	}
	return 1;
}
