/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A server patched for ESCA, and clients that check each byte of its answers.
 *
 * It is patched as nginx, lighttpd and the echo server of the original are: a worker says that it
 * is one, and its handlers run between batch_start and batch_flush. Each answer has a header
 * (writev), part of a file (sendfile) under TCP_CORK, and an end that is written outside of the
 * region, so that it has to come behind what was collected.
 *
 *   cc -shared -fPIC -o libshim.so shim.c
 *   cc -o server server.c -L. -lshim -Wl,-rpath,'$ORIGIN'
 *   ./server [ROUNDS]
 *
 * Exit status 0: all answers were right. The line that it prints says who answered the interface.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim.h"

#define CONNECTIONS 8
#define FILE_SIZE 3000
#define HEADER 64
#define END 4
#define ANSWER (HEADER + FILE_SIZE + END)

static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, " (errno %d)\n", errno);
	exit(1);
}

static char file_byte(size_t at)
{
	return 'a' + at % 23;
}

static void put_header(char *header, unsigned int request)
{
	memset(header, '.', HEADER);
	header[snprintf(header, HEADER, "answer %u", request)] = '.';
}

/* The file that is served; its name is gone at once. */
static char path[] = "/tmp/esca-server.XXXXXX";

static void make_file(void)
{
	char bytes[FILE_SIZE];
	int fd = mkstemp(path);

	for (size_t i = 0; i < FILE_SIZE; i++)
		bytes[i] = file_byte(i);
	if (fd < 0 || write(fd, bytes, FILE_SIZE) != FILE_SIZE || close(fd))
		die("cannot make %s", path);
}

static void send_answer(int fd, unsigned int request)
{
	char header[HEADER];
	struct iovec parts[2] = {
		{ header, HEADER / 2 },
		{ header + HEADER / 2, HEADER / 2 },
	};
	struct stat stat;
	off_t offset = 0;
	int file, on = 1, off = 0;

	file = open(path, O_RDONLY);
	if (file < 0 || fstat(file, &stat) || stat.st_size != FILE_SIZE)
		die("cannot open %s", path);
	if (setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)))
		die("TCP_CORK");
	put_header(header, request);
	if (writev(fd, parts, 2) != HEADER)
		die("writev");
	/* Reused at once, as servers do. */
	memset(header, '!', HEADER);
	if (sendfile(fd, file, &offset, FILE_SIZE) != FILE_SIZE || offset != FILE_SIZE)
		die("sendfile");
	if (close(file))
		die("close");
	if (setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off)))
		die("TCP_CORK off");
	/*
	 * Not to be collected. With a pool what was collected may not have left yet: the socket then
	 * has no room for now.
	 */
	toggle_region();
	while (write(fd, "end\n", END) != END) {
		struct epoll_event event = { .events = EPOLLOUT };
		int set = epoll_create1(EPOLL_CLOEXEC);

		if (errno != EAGAIN)
			die("write");
		if (set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) ||
		    epoll_wait(set, &event, 1, 10000) != 1 || close(set))
			die("no room for 10 s");
	}
	toggle_region();
}

/* Serves until all clients have gone. */
static void serve(int listener)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = listener };
	struct epoll_event events[CONNECTIONS + 1];
	unsigned int request;
	int open_connections = CONNECTIONS, accepted = 0, on = 1;
	int set = epoll_create1(EPOLL_CLOEXEC);

	if (set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, listener, &event))
		die("epoll");
	while (open_connections) {
		int n = epoll_wait(set, events, CONNECTIONS + 1, 30000);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			die("epoll_wait: %d", n);
		batch_start(n);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			ssize_t got;

			if (fd == listener) {
				fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
				event.data.fd = fd;
				/* The end of an answer need not wait for an acknowledgement. */
				if (fd < 0 || epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) ||
				    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
					die("accept4");
				if (++accepted == CONNECTIONS)
					epoll_ctl(set, EPOLL_CTL_DEL, listener, NULL);
				continue;
			}
			got = recv(fd, &request, sizeof(request), 0);
			if (got == sizeof(request)) {
				send_answer(fd, request);
			} else if (got == 0) {
				if (close(fd))
					die("close of a connection");
				open_connections--;
			} else if (got > 0 || errno != EAGAIN) {
				die("recv: %zd", got);
			}
		}
		batch_flush();
	}
}

static void be_client(unsigned short port, unsigned int rounds, unsigned int first)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	char answer[ANSWER], wanted[ANSWER];
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		die("connect");
	for (unsigned int request = first; request < first + rounds; request++) {
		size_t have = 0;

		if (send(fd, &request, sizeof(request), 0) != sizeof(request))
			die("request");
		while (have < ANSWER) {
			ssize_t got = recv(fd, answer + have, ANSWER - have, 0);

			if (got <= 0)
				die("answer %u ends after %zu bytes", request, have);
			have += got;
		}
		put_header(wanted, request);
		for (size_t i = 0; i < FILE_SIZE; i++)
			wanted[HEADER + i] = file_byte(i);
		memcpy(wanted + HEADER + FILE_SIZE, "end\n", END);
		if (memcmp(answer, wanted, ANSWER))
			die("answer %u is wrong", request);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	unsigned int rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 100;
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t len = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int status, failed = 0;

	signal(SIGPIPE, SIG_IGN);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, len) ||
	    listen(listener, CONNECTIONS) ||
	    getsockname(listener, (struct sockaddr *)&address, &len))
		die("cannot listen");
	make_file();
	for (unsigned int i = 0; i < CONNECTIONS; i++) {
		pid_t child = fork();

		if (child < 0)
			die("fork");
		if (child == 0) {
			close(listener);
			be_client(ntohs(address.sin_port), rounds, i * 1000000);
			exit(0);
		}
	}
	esca_init();
	init_worker(0);
	serve(listener);
	unlink(path);
	while (wait(&status) > 0)
		failed += status != 0;
	if (failed)
		die("%d clients failed", failed);
	printf("%u answers, interface of the %s\n", rounds * CONNECTIONS,
	       shim_calls ? "shim" : "library");
	return 0;
}
