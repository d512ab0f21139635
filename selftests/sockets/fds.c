// SPDX-License-Identifier: GPL-2.0-only
/* Cases: a connection in several descriptors, processes and programs. */
#include "calls.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/sendfile.h>

static char buf[65536];

CASE(dup, IN_FOREIGN)
{
	PAIR(a, b);
	int c = MUST(dup(a)), d = MUST(fcntl(a, F_DUPFD_CLOEXEC, 100));

	put(a, 0, 100);
	put(c, 100, 100);
	get(b, 0, 200);
	GIVES(close(a));
	put(b, 0, 100);
	get(c, 0, 100);
	GIVES(close(c));
	put(b, 100, 100);
	get(d, 100, 100);
	GIVES(close(d));
	drain(b, 200);
}

CASE(fork, 0)
{
	PAIR(a, b);
	pid_t pid = PROCESS(put(a, 0, 100); get(a, 0, 50));

	get(b, 0, 100);
	put(b, 0, 50);
	join(pid);
	put(b, 50, 50);
	get(a, 50, 50);
	/* The child's end ended nothing. */
	GIVES(close(a));
	drain(b, 100);
}

CASE(fork_parent_closes, 0)
{
	PAIR(a, b);
	pid_t pid = PROCESS(close(b); asleep(getppid()); put(a, 0, 100));

	GIVES(close(a));
	get(b, 0, 100);
	join(pid);
	drain(b, 100);
}

/* The other side of @a, accepted and not used yet. */
static int unused(int l, int a)
{
	block(a, false);
	connect_to(a, port);
	return MUST(accept(l, NULL, NULL));
}

/* Whoever got the unused side sends back what comes. */
static void echoed(int a, size_t len)
{
	wait_events(a, POLLOUT);
	block(a, true);
	put(a, 0, len);
	get(a, 0, len);
}

CASE(fork_after_accept, 0)
{
	int l = listener(), a = stream_socket(AF_INET), b = unused(l, a);
	pid_t pid = PROCESS(close(a); get(b, 0, 100); put(b, 0, 100));

	close(b);
	echoed(a, 100);
	join(pid);
	drain(a, 100);
}

CASE(fork_before_accept, 0)
{
	int l = listener(), a = stream_socket(AF_INET);
	pid_t pid = PROCESS(int b = accept(l, NULL, NULL);
			    get(b, 0, 100); put(b, 0, 100));

	close(l);
	GIVES(connect_to(a, port));
	put(a, 0, 100);
	get(a, 0, 100);
	join(pid);
	drain(a, 100);
}

static void pass(int local, int fd)
{
	union {
		struct cmsghdr	hdr;
		char		room[CMSG_SPACE(sizeof(int))];
	} c = {};
	struct iovec iov = { "x", 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &c, .msg_controllen = sizeof(c),
	};

	c.hdr.cmsg_level = SOL_SOCKET;
	c.hdr.cmsg_type = SCM_RIGHTS;
	c.hdr.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&c.hdr), &fd, sizeof(fd));
	MUST(sendmsg(local, &msg, 0));
}

static int passed(int local)
{
	union {
		struct cmsghdr	hdr;
		char		room[CMSG_SPACE(sizeof(int))];
	} c = {};
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &c, .msg_controllen = sizeof(c),
	};
	int fd;

	MUST(recvmsg(local, &msg, 0));
	memcpy(&fd, CMSG_DATA(&c.hdr), sizeof(fd));
	return fd;
}

CASE(SCM_RIGHTS, 0)
{
	PAIR(a, b);
	int ends[2], got;
	pid_t pid;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	pid = PROCESS(close(a); close(b); got = passed(ends[1]);
		      put(got, 0, 100); get(got, 0, 100));
	pass(ends[0], a);
	close(a);
	get(b, 0, 100);
	put(b, 0, 100);
	join(pid);
	drain(b, 100);
}

/* Accepted, not used yet, passed on: the one that gets it uses it first. */
CASE(SCM_RIGHTS_of_an_unused_socket, 0)
{
	int l = listener(), a = stream_socket(AF_INET), b, ends[2], got;
	pid_t pid;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	pid = PROCESS(got = passed(ends[1]); get(got, 0, 100);
		      put(got, 0, 100));
	b = unused(l, a);
	pass(ends[0], b);
	close(b);
	echoed(a, 100);
	join(pid);
	drain(a, 100);
}

/* In flight when the last process lets go: the kernel closes it. */
CASE(SCM_RIGHTS_never_taken, 0)
{
	PAIR(a, b);
	int ends[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	pass(ends[0], a);
	close(a);
	put(b, 0, 100);
	close(ends[0]);
	close(ends[1]);
	POLLS_SOON(b, POLLIN);
}

static void run(int fd, const char *program)
{
	dup2(fd, 0);
	dup2(fd, 1);
	execlp(program, program, NULL);
	_exit(127);
}

CASE(exec, 0)
{
	PAIR(a, b);
	pid_t pid = PROCESS(close(a); run(b, "cat"));

	close(b);
	put(a, 0, 5000);
	get(a, 0, 5000);
	GIVES(shutdown(a, SHUT_WR));
	drain(a, 5000);
	join(pid);
}

/* As inetd does: the program that is run is the first to use the socket. */
CASE(exec_inetd, 0)
{
	int l = listener(), a = stream_socket(AF_INET), b = unused(l, a);
	pid_t pid = PROCESS(close(a); close(l); run(b, "cat"));

	close(b);
	echoed(a, 5000);
	GIVES(shutdown(a, SHUT_WR));
	drain(a, 5000);
	join(pid);
}

CASE(FD_CLOEXEC, 0)
{
	PAIR(a, b);
	pid_t pid;

	MUST(fcntl(a, F_SETFD, FD_CLOEXEC));
	pid = PROCESS(close(b); run(open("/dev/null", O_RDWR), "cat"));
	join(pid);
	GIVES(close(a));
	drain(b, 0);
}

CASE(sendfile, IN_FOREIGN)
{
	FILE *file = tmpfile();
	off_t at = 0;
	PAIR(a, b);
	int i;

	for (i = 0; i < 100; i++) {
		fill(buf, 1000 * i, 1000);
		fwrite(buf, 1, 1000, file);
	}
	fflush(file);
	GIVES(sendfile(a, fileno(file), &at, 50000));
	say("at %ld", (long)at);
	get(b, 0, 50000);
	GIVES(sendfile(a, fileno(file), &at, 1000000));
	get(b, 50000, 50000);
	GIVES(sendfile(a, fileno(file), &at, 1000));
	put(a, 100000, 100);
	get(b, 100000, 100);
}

CASE(sendfile_until_full, 0)
{
	FILE *file = tmpfile();
	size_t sum = 0, at = 0;
	ssize_t n;
	PAIR(a, b);

	for (at = 0; at < 8 << 20; at += sizeof(buf)) {
		fill(buf, at, sizeof(buf));
		fwrite(buf, 1, sizeof(buf), file);
	}
	fflush(file);
	rewind(file);
	lseek(fileno(file), 0, SEEK_SET);
	block(a, false);
	while ((n = sendfile(a, fileno(file), NULL, 1 << 20)) > 0)
		sum += n;
	say("at last: %s", n ? error_name(errno) : "end");
	say("file offset %s", (size_t)lseek(fileno(file), 0, SEEK_CUR) == sum ?
	    "right" : "WRONG");
	get_quietly(b, 0, sum);
}

CASE(splice_to_socket, IN_FOREIGN)
{
	PAIR(a, b);
	int p[2];

	MUST(pipe(p));
	fill(buf, 0, 10000);
	MUST(write(p[1], buf, 10000));
	GIVES(splice(p[0], NULL, a, NULL, 10000, 0));
	get(b, 0, 10000);
	MUST(write(p[1], buf, 100));
	GIVES(splice(p[0], NULL, a, NULL, 100, SPLICE_F_MORE));
	MUST(write(p[1], buf + 100, 100));
	GIVES(splice(p[0], NULL, a, NULL, 1000, SPLICE_F_MOVE));
	get(b, 0, 200);
	GIVES(splice(p[0], NULL, a, NULL, 100, SPLICE_F_NONBLOCK));
	close(p[1]);
	GIVES(splice(p[0], NULL, a, NULL, 100, 0));
}

CASE(splice_from_socket, IN_FOREIGN)
{
	PAIR(a, b);
	int p[2];
	ssize_t n, sum = 0;
	pid_t pid;

	MUST(pipe(p));
	block(a, false);
	GIVES(splice(a, NULL, p[1], NULL, 100, 0));
	block(a, true);
	put(b, 0, 100);
	settle(b);
	GIVES(splice(a, NULL, p[1], NULL, 60, 0));
	GIVES(splice(a, NULL, p[1], NULL, 1000, 0));
	GIVES(read(p[0], buf, 1000));
	same(buf, 0, 100);
	pid = CHILD(put(b, 100, 200000));
	while (sum < 200000) {
		n = splice(a, NULL, p[1], NULL, 30000, 0);
		if (n <= 0)
			break;
		while (n) {
			ssize_t part = MUST(read(p[0], buf, n));

			if (!is_same(buf, 100 + sum, part))
				say("data from %zu on: WRONG", 100 + sum);
			sum += part;
			n -= part;
		}
	}
	join(pid);
	say("got %zd", sum);
	MUST(shutdown(b, SHUT_WR));
	GIVES(splice(a, NULL, p[1], NULL, 100, 0));
	GIVES(splice(a, NULL, p[1], NULL, 100, 0));
}

CASE(splice_blocks, IN_FOREIGN)
{
	PAIR(a, b);
	int p[2];
	pid_t pid;

	MUST(pipe(p));
	pid = CHILD(GIVES(splice(a, NULL, p[1], NULL, 1000, 0)));
	asleep(pid);
	put(b, 0, 100);
	join(pid);
	GIVES(read(p[0], buf, 1000));
	same(buf, 0, 100);
}

/* As a proxy does it: from one connection to another. */
CASE(splice_between, 0)
{
	int l = listener(), a, b, c, d, p[2];
	ssize_t n, m;
	pid_t writer, proxy;

	pair_from(l, &a, &b);
	pair_from(l, &c, &d);
	MUST(pipe(p));
	writer = CHILD(put(a, 0, 500000); shutdown(a, SHUT_WR));
	proxy = begin_child();
	if (!proxy) {
		while ((n = splice(b, NULL, p[1], NULL, 65536, 0)) > 0)
			for (; n; n -= m)
				m = MUST(splice(p[0], NULL, c, NULL, n,
						SPLICE_F_MORE));
		MUST(shutdown(c, SHUT_WR));
		end_child();
	}
	get_quietly(d, 0, 500000);
	GIVES(recv(d, buf, 10, 0));
	join(writer);
	join(proxy);
}

struct work {
	int	fd;
	size_t	done;
	bool	wrong;
};

static void *reader(void *arg)
{
	struct work *work = arg;
	ssize_t n;
	char mine[1000];

	while ((n = recv(work->fd, mine, sizeof(mine), 0)) > 0)
		work->done += n;
	work->wrong = n < 0;
	return NULL;
}

CASE(two_readers, IN_FOREIGN)
{
	struct work one = {}, two = {};
	pthread_t first, second;
	PAIR(a, b);

	one.fd = a;
	two.fd = a;
	pthread_create(&first, NULL, reader, &one);
	pthread_create(&second, NULL, reader, &two);
	put(b, 0, 500000);
	MUST(shutdown(b, SHUT_WR));
	pthread_join(first, NULL);
	pthread_join(second, NULL);
	say("both: %zu%s", one.done + two.done,
	    one.wrong || two.wrong ? ", an error" : "");
}

static void *writer(void *arg)
{
	struct work *work = arg;
	char mine[1000];

	fill(mine, 0, sizeof(mine));
	while (work->done < 200000)
		work->done += MUST(send(work->fd, mine, sizeof(mine), 0));
	return NULL;
}

CASE(two_writers, 0)
{
	struct work one = {}, two = {};
	pthread_t first, second;
	size_t sum = 0;
	ssize_t n;
	PAIR(a, b);

	one.fd = a;
	two.fd = a;
	pthread_create(&first, NULL, writer, &one);
	pthread_create(&second, NULL, writer, &two);
	while (sum < 400000 && (n = recv(b, buf, sizeof(buf), 0)) > 0)
		sum += n;
	pthread_join(first, NULL);
	pthread_join(second, NULL);
	say("got %zu", sum);
}

/* Both directions full at once: a reader must not wait for a writer. */
CASE(both_directions, IN_FOREIGN)
{
	PAIR(a, b);
	pid_t one = CHILD(put(a, 0, 3000000));
	pid_t two = CHILD(put(b, 0, 3000000));
	pid_t three = CHILD(get_quietly(b, 0, 3000000));

	get(a, 0, 3000000);
	join(one);
	join(two);
	join(three);
}
