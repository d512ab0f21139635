// SPDX-License-Identifier: GPL-2.0-only
/*
 * calls --list			the cases, one a line: NAME [foreign] [netns]
 * calls CASE MODE PORT MARKER	runs one; the transcript goes to stdout
 *
 * Lines that begin with "design: " are not part of the transcript: they say
 * which differences from TCP are meant.
 */
#include "calls.h"
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum mode mode;
uint16_t port;
static const char *marker = "";
static struct call_case *cases;

void add_case(struct call_case *c)
{
	struct call_case **p = &cases;

	while (*p)
		p = &(*p)->next;
	*p = c;
}

/* One write for a line: several tasks write, and none may hold a lock. */
void say(const char *format, ...)
{
	char line[512];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	if (write(STDOUT_FILENO, line, n) != n)
		_exit(3);
}

void die(const char *what)
{
	say("the case broke: %s: %s", what, error_name(errno));
	_exit(2);
}

const char *error_name(int err)
{
	const char *name = strerrorname_np(err);

	return name ? name : "?";
}

long gives(const char *call, long ret, int err)
{
	if (ret == -1)
		say("%s = %s", call, error_name(err));
	else
		say("%s = %ld", call, ret);
	return ret;
}

long by_design(const char *call, long ret, int err, int want)
{
	if (mode <= MODE_CLEAR || (ret == -1 && err == want)) {
		say("%s: by design", call);
		if (mode > MODE_CLEAR)
			say("design: %s = %s", call, error_name(want));
		return ret;
	}
	return gives(call, ret, err);
}

/* Byte @at of a stream: the marker, over and over, and where it is. */
static char byte_at(size_t at)
{
	static char line[64];
	static size_t number = -1, len;

	if (!len)
		len = strlen(marker) + 9;
	if (at / len != number) {
		number = at / len;
		snprintf(line, sizeof(line), "%s %08zx", marker, number);
	}
	return line[at % len];
}

void fill(void *buf, size_t from, size_t len)
{
	char *p = buf;

	while (len--)
		*p++ = byte_at(from++);
}

bool is_same(const void *buf, size_t from, size_t len)
{
	const char *p = buf;
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i] != byte_at(from + i))
			return false;
	return true;
}

void same(const void *buf, size_t from, size_t len)
{
	say("data [%zu, %zu): %s", from, from + len,
	    is_same(buf, from, len) ? "right" : "WRONG");
}

/* Sends a piece of the stream whole. */
void put(int fd, size_t from, size_t len)
{
	static char buf[65536];
	size_t part;
	ssize_t n;

	while (len) {
		part = len < sizeof(buf) ? len : sizeof(buf);
		fill(buf, from, part);
		n = MUST(send(fd, buf, part, MSG_NOSIGNAL));
		from += n;
		len -= n;
	}
}

/* Receives a piece of the stream whole; says only what is wrong with it. */
bool get_quietly(int fd, size_t from, size_t len)
{
	static char buf[65536];
	size_t part, done = 0;
	ssize_t n;

	while (done < len) {
		part = len - done < sizeof(buf) ? len - done : sizeof(buf);
		n = recv(fd, buf, part, 0);
		if (n <= 0) {
			say("after %zu of %zu bytes: %s", done, len,
			    n ? error_name(errno) : "end");
			return false;
		}
		if (!is_same(buf, from + done, n)) {
			say("data from %zu on: WRONG", from + done);
			return false;
		}
		done += n;
	}
	return true;
}

void get(int fd, size_t from, size_t len)
{
	if (get_quietly(fd, from, len))
		say("got [%zu, %zu)", from, from + len);
}

/* All until the end, however it ends. */
void drain(int fd, size_t from)
{
	static char buf[65536];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		if (!is_same(buf, from, n))
			say("data from %zu on: WRONG", from);
		from += n;
	}
	say("until %zu: %s", from, n ? error_name(errno) : "end");
}

pid_t begin_child(void)
{
	return MUST(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0));
}

void end_child(void)
{
	_exit(0);
}

static char state_of(pid_t pid)
{
	char path[64], text[512], *p;
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = MUST(open(path, O_RDONLY));
	n = MUST(read(fd, text, sizeof(text) - 1));
	close(fd);
	text[n] = 0;
	p = strrchr(text, ')');
	return p ? p[2] : '?';
}

/* Returns when @pid blocks (it must sooner or later), or has ended. */
void asleep(pid_t pid)
{
	int seen = 0;

	while (seen < 5) {
		nap(10);
		seen = strchr("SZ", state_of(pid)) ? seen + 1 : 0;
	}
}

void join(pid_t pid)
{
	int status;

	MUST(waitpid(pid, &status, 0));
	if (WIFSIGNALED(status))
		say("the child died of signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status))
		say("the child broke");
}

static const struct {
	int		bit;
	const char	*name;
} poll_bits[] = {
	{ POLLIN, "IN" }, { POLLPRI, "PRI" }, { POLLOUT, "OUT" },
	{ POLLRDNORM, "RDNORM" }, { POLLWRNORM, "WRNORM" },
	{ POLLRDBAND, "RDBAND" }, { POLLWRBAND, "WRBAND" },
	{ POLLERR, "ERR" }, { POLLHUP, "HUP" }, { POLLNVAL, "NVAL" },
	{ POLLRDHUP, "RDHUP" },
};

void masks(const char *what, int events)
{
	char text[128] = "";
	size_t i;

	for (i = 0; i < sizeof(poll_bits) / sizeof(poll_bits[0]); i++) {
		if (!(events & poll_bits[i].bit))
			continue;
		strcat(text, " ");
		strcat(text, poll_bits[i].name);
	}
	say("%s:%s", what, *text ? text : " nothing");
}

void polls(const char *what, int fd, int events, int timeout)
{
	struct pollfd p = { .fd = fd, .events = events };

	MUST(poll(&p, 1, timeout));
	masks(what, p.revents);
}

/* Waits for any of @events; false: they do not come. */
bool wait_events(int fd, int events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return MUST(poll(&p, 1, 20000)) == 1;
}

void nap(int ms)
{
	usleep(ms * 1000);
}

static int list(void)
{
	struct call_case *c;

	for (c = cases; c; c = c->next)
		printf("%s%s%s\n", c->name,
		       c->flags & IN_FOREIGN ? " foreign" : "",
		       c->flags & OWN_NETNS ? " netns" : "");
	return 0;
}

static enum mode mode_of(const char *name)
{
	if (!strcmp(name, "clear"))
		return MODE_CLEAR;
	if (!strcmp(name, "both"))
		return MODE_BOTH;
	if (!strcmp(name, "asked"))
		return MODE_ASKED;
	if (!strcmp(name, "foreign"))
		return MODE_FOREIGN;
	return MODE_PLAIN;
}

int main(int argc, char **argv)
{
	struct call_case *c;

	if (argc == 2 && !strcmp(argv[1], "--list"))
		return list();
	if (argc != 5)
		return 64;
	mode = mode_of(argv[2]);
	port = atoi(argv[3]);
	marker = argv[4];
	for (c = cases; c; c = c->next) {
		if (strcmp(c->name, argv[1]))
			continue;
		c->run();
		say("end of the case");
		return 0;
	}
	return 64;
}
