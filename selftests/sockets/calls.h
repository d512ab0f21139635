/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A case is a function that plays both sides of a connection and writes
 * down what an application sees.  It runs once over plain TCP and once more
 * for each way to protect the connection; the transcripts must be equal.
 *
 * What is written must therefore not depend on timing: settle() waits until
 * the data sent has arrived, asleep() until a task is blocked.
 */
#ifndef _CALLS_H
#define _CALLS_H

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* <linux/tcp.h> and <netinet/tcp.h> exclude each other; cases take this. */
#include <linux/tcp.h>
#define SOL_TCP IPPROTO_TCP

enum mode {
	MODE_PLAIN,	/* no rule */
	MODE_CLEAR,	/* rules for both sides, which nobody asks for TLS */
	MODE_BOTH,	/* rules for both sides */
	MODE_ASKED,	/* the same, and both ask for TLS, as they may end it */
	MODE_FOREIGN,	/* rule for the client; OpenSSL with tickets at the server */
};

#define IN_FOREIGN	1	/* also with the foreign peer */
#define OWN_NETNS	2	/* in a network namespace of its own */

struct call_case {
	const char		*name;
	void			(*run)(void);
	unsigned int		flags;
	struct call_case	*next;
};

void add_case(struct call_case *c);

#define CASE(name_, flags_)						\
static void run_##name_(void);						\
static struct call_case case_##name_ = {				\
	.name = #name_, .run = run_##name_, .flags = flags_,		\
};									\
__attribute__((constructor)) static void add_##name_(void)		\
{									\
	add_case(&case_##name_);					\
}									\
static void run_##name_(void)

extern enum mode mode;
extern uint16_t port;

/* calls.c: the transcript */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
long gives(const char *call, long ret, int err);
long by_design(const char *call, long ret, int err, int want);
void die(const char *what);
const char *error_name(int err);

/* Writes down what @call returns, and errno if it fails. */
#define GIVES(call) ({							\
	errno = 0;							\
	long ret_ = (long)(call);					\
	gives(#call, ret_, errno);					\
})

/* A call that gives @want by design, whatever it gives on TCP. */
#define DESIGN(call, want) ({						\
	errno = 0;							\
	long ret_ = (long)(call);					\
	by_design(#call, ret_, errno, want);				\
})

/* Calls that only set the stage: they must not fail. */
#define MUST(call) ({							\
	long ret_ = (long)(call);					\
	if (ret_ < 0)							\
		die(#call);						\
	ret_;								\
})

/* calls.c: the data of a stream, a function of the place in it */
void fill(void *buf, size_t from, size_t len);
void same(const void *buf, size_t from, size_t len);
bool is_same(const void *buf, size_t from, size_t len);
void put(int fd, size_t from, size_t len);
void get(int fd, size_t from, size_t len);
bool get_quietly(int fd, size_t from, size_t len);
void drain(int fd, size_t from);

/* calls.c: tasks that share our files, as threads do, but not our memory */
pid_t begin_child(void);
void end_child(void);
void asleep(pid_t pid);
void join(pid_t pid);

#define CHILD(statement) ({						\
	pid_t pid_ = begin_child();					\
	if (!pid_) {							\
		statement;						\
		end_child();						\
	}								\
	pid_;								\
})

/* A process with descriptors of its own. */
#define PROCESS(statement) ({						\
	pid_t pid_ = MUST(fork());					\
	if (!pid_) {							\
		statement;						\
		_exit(0);						\
	}								\
	pid_;								\
})

/* calls.c: poll */
void polls(const char *what, int fd, int events, int timeout);
void masks(const char *what, int events);
bool wait_events(int fd, int events);
#define POLLS(fd, events) polls("poll(" #fd ", " #events ")", fd, events, 0)
/* With time for what must come. */
#define POLLS_SOON(fd, events)						\
	polls("poll(" #fd ", " #events ")", fd, events, 20000)
#define POLL_ALL (POLLIN | POLLPRI | POLLOUT | POLLRDHUP)

/* pair.c */
int stream_socket(int family);
int listener(void);
int listener_on(int family, uint16_t where);
void address(struct sockaddr_in *sin, uint16_t where);
int connect_to(int fd, uint16_t where);
void block(int fd, bool blocking);
int take(int l);
int stuck_listener(void);
int unstick(int l);
void pair(int *a, int *b);
int pair_with(int l, int a);
void pair_from(int l, int *a, int *b);
void reset(int fd);
void must_be_protected(int fd);
void settle(int fd);
void set_int(int fd, int level, int name, int value);
int get_int(int fd, int level, int name);
void nap(int ms);

/* A connection: @a the client, @b the server's side of it or its relay. */
#define PAIR(a, b)							\
	int a, b;							\
	pair(&a, &b)

/* relay.c: an OpenSSL server between the wire and a local socket */
int relay(int l);
void relay_settle(void);

#endif /* _CALLS_H */
