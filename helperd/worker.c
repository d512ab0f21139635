// SPDX-License-Identifier: GPL-2.0-only
/*
 * A worker: one process, one thread, one epoll loop, thousands of
 * handshakes at once.
 *
 * Events
 *   /dev/attls	  A request waits.  The descriptor is shared by all workers;
 *		  EPOLLEXCLUSIVE makes a request wake one of them.  A worker
 *		  takes a small batch and goes back to the loop, so that a
 *		  burst spreads over all.
 *   handshakes	  Level-triggered, for what OpenSSL wants next.  Over is
 *		  EPOLLERR | EPOLLHUP; the step then learns why.
 *   keepers	  What becomes of sessions, see keeper.c.  They are no work
 *		  under way.
 *   fetcher	  CRLs and OCSP responses, for handshakes that wait for them.
 *		  End of file: it died, and the worker ends so that the
 *		  parent starts both anew.  See fetcher.c.
 *   channel	  One-byte messages of the parent, see below.  End of file:
 *		  the parent is gone.
 *
 * Life
 *   A worker is forked with all it will ever know: the policy in force and
 *   the one before, with their keys.  It never reloads; a reload makes new
 *   workers.  On PAUSE it stops to accept and says so, on RESUME it goes on;
 *   on DRAIN, STOP, or when the parent is gone it ends as soon as nothing is
 *   under way, or when the time for that is over.
 *
 * No timers run per handshake: the kernel owns them, and ends the handshake.
 * What a fetcher was asked for has a time of its own.
 * Nothing is shared but the sessions, which store.c guards.
 */
#include "attlsd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define BATCH		16
#define EVENTS		64
#define HANDSHAKES_MAX	8192
#define FILES_RESERVED	64
#define FULL_PAUSE	100		/* ms without memory or files */
#define DRAIN_TIME	60000		/* ms, after a reload */
#define STOP_TIME	10000		/* ms, attlsd stops or is gone */

struct worker {
	const struct attlsd_sets *sets;
	int	device;
	int	channel;
	int	fetcher;
	int	keepers;
	int	epoll;
	unsigned int active;
	unsigned int limit;
	bool	accepting;		/* the device is in the epoll set */
	bool	paused;
	bool	draining;
	int64_t	deadline;		/* of draining */
	int64_t	resume_at;		/* after FULL_PAUSE, or 0 */
};

static int watch(struct worker *w, int op, int fd, uint32_t events, void *ptr)
{
	struct epoll_event event = {
		.events = events,
		.data.ptr = ptr,
	};

	return epoll_ctl(w->epoll, op, fd, &event) ? -errno : 0;
}

/*
 * In or out of the epoll set, as the worker can take more or not.  Requests
 * that nobody takes wait in the kernel, under its bound and its timers.
 */
static void update_accepting(struct worker *w)
{
	bool want = !w->paused && !w->draining && !w->resume_at &&
		    w->active < w->limit;

	if (want == w->accepting)
		return;
	if (!watch(w, want ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, w->device,
		   EPOLLIN | EPOLLEXCLUSIVE, &w->device))
		w->accepting = want;
}

/*
 * The file is the worker's, unless a keeper has it; a handshake that is over
 * is freed already.
 */
static void step(struct worker *w, struct attlsd_hs *hs)
{
	int fd = attlsd_hs_fd(hs);
	uint32_t had = attlsd_hs_waits(hs);	/* 0: it is new */
	uint32_t want = attlsd_hs_step(hs);

	bool kept = want == ATTLSD_HS_KEPT;

	if (want && !kept && want != had &&
	    watch(w, had ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, want, hs)) {
		attlsd_hs_abort(hs);
		want = 0;
	}
	if (want && !kept)
		return;
	if (had)
		watch(w, EPOLL_CTL_DEL, fd, 0, NULL);
	if (!kept)
		close(fd);
	w->active--;
}

static bool accept_one(struct worker *w)
{
	struct attls_request req;
	struct attlsd_hs *hs;
	int ret = attlsd_agent_accept(w->device, &req);

	if (ret == -EAGAIN)
		return false;
	if (ret) {
		/* The request waits on; so do we, and do not spin. */
		attlsd_log(LOG_WARNING, "cannot accept a handshake: %s",
			   strerror(-ret));
		w->resume_at = attlsd_now() + FULL_PAUSE;
		return false;
	}
	hs = attlsd_hs_start(w->sets, &req);
	if (hs) {
		w->active++;
		step(w, hs);
	} else {
		close(req.fd);
	}
	return true;
}

static void accept_batch(struct worker *w)
{
	/* A message of the same round may have said no. */
	if (!w->accepting || w->draining)
		return;
	for (int i = 0; i < BATCH && w->active < w->limit; i++)
		if (!accept_one(w))
			break;
}

static void drain(struct worker *w, int time)
{
	int64_t deadline = attlsd_now() + time;

	if (!w->draining || deadline < w->deadline)
		w->deadline = deadline;
	w->draining = true;
	attlsd_keepers_close();
}

static void obey(struct worker *w, char message)
{
	switch (message) {
	case ATTLSD_MSG_PAUSE:
		w->paused = true;
		update_accepting(w);
		if (write(w->channel, &message, 1) != 1)
			drain(w, STOP_TIME);
		break;
	case ATTLSD_MSG_RESUME:
		w->paused = false;
		break;
	case ATTLSD_MSG_DRAIN:
		drain(w, DRAIN_TIME);
		break;
	case ATTLSD_MSG_STOP:
		drain(w, STOP_TIME);
		break;
	}
}

static void read_channel(struct worker *w)
{
	char message;
	ssize_t n = read(w->channel, &message, 1);

	if (n == 1) {
		obey(w, message);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		watch(w, EPOLL_CTL_DEL, w->channel, 0, NULL);
		drain(w, STOP_TIME);
	}
}

static void read_fetcher(struct worker *w)
{
	if (attlsd_answers_read())
		return;
	attlsd_log(LOG_ERR, "the fetcher is gone");
	watch(w, EPOLL_CTL_DEL, w->fetcher, 0, NULL);
	drain(w, STOP_TIME);
}

/*
 * One that has died is replaced, with all workers.  One that only hangs is
 * not, but the next worker has another connection to it.
 */
static void watch_signer(struct worker *w)
{
	if (w->draining || !keyring_remote_silent())
		return;
	attlsd_log(LOG_ERR, "the signer does not answer");
	drain(w, STOP_TIME);
}

/* After all events of a round: one of them may have ended the handshake. */
static void go_on(struct worker *w)
{
	struct attlsd_hs *hs;

	while ((hs = attlsd_revocation_next()))
		step(w, hs);
	while ((hs = attlsd_hs_seeker()))
		step(w, hs);
}

static void dispatch(struct worker *w, const struct epoll_event *event)
{
	if (event->data.ptr == &w->device)
		accept_batch(w);
	else if (event->data.ptr == &w->channel)
		read_channel(w);
	else if (event->data.ptr == &w->fetcher)
		read_fetcher(w);
	else if (event->data.ptr == &w->keepers)
		attlsd_keepers_serve();
	else
		step(w, event->data.ptr);
}

/* ms until something must be done without an event; -1: nothing. */
static int timeout(const struct worker *w)
{
	int64_t at = w->draining ? w->deadline : INT64_MAX;
	int64_t left;

	if (w->resume_at && w->resume_at < at)
		at = w->resume_at;
	if (attlsd_hs_look_at() < at)
		at = attlsd_hs_look_at();
	left = at - attlsd_now();
	/* Once a second, for the count of suppressed messages. */
	if (left > 1000)
		left = 1000;
	return left < 0 ? 0 : left;
}

static int loop(struct worker *w)
{
	struct epoll_event events[EVENTS];

	for (;;) {
		int n;

		if (w->resume_at && attlsd_now() >= w->resume_at)
			w->resume_at = 0;
		update_accepting(w);
		if (w->draining && (!w->active || attlsd_now() >= w->deadline))
			break;
		n = epoll_wait(w->epoll, events, EVENTS, timeout(w));
		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n; i++)
			dispatch(w, &events[i]);
		attlsd_answers_tick();
		attlsd_staples_tick();
		attlsd_keepers_tick();
		go_on(w);
		watch_signer(w);
		attlsd_log_tick();
	}
	if (w->active)
		attlsd_log(LOG_NOTICE, "worker ends, %u handshakes with it",
			   w->active);
	return 0;
}

/* Files for handshakes and, at most a quarter of them, for keepers. */
static unsigned int file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) ||
	    limit.rlim_cur >= HANDSHAKES_MAX + ATTLSD_KEEPERS + FILES_RESERVED)
		return HANDSHAKES_MAX + ATTLSD_KEEPERS;
	return limit.rlim_cur > 2 * FILES_RESERVED ?
	       limit.rlim_cur - FILES_RESERVED : FILES_RESERVED / 2;
}

static int open_keepers(struct worker *w)
{
	unsigned int files = file_limit();
	unsigned int max = files / 4 < ATTLSD_KEEPERS ? files / 4 :
							ATTLSD_KEEPERS;

	w->limit = files - max;
	w->keepers = attlsd_keepers_open(max);
	return w->keepers < 0 ? w->keepers :
	       watch(w, EPOLL_CTL_ADD, w->keepers, EPOLLIN, &w->keepers);
}

/* Returns when the worker has nothing left to do. */
int attlsd_worker_main(int device, int channel, int fetcher,
		       const struct attlsd_sets *sets)
{
	struct worker w = {
		.sets = sets,
		.device = device,
		.channel = channel,
		.fetcher = fetcher,
		.epoll = epoll_create1(EPOLL_CLOEXEC),
	};
	int ret = w.epoll < 0 ? -errno : 0;
	char ready = ATTLSD_MSG_READY;

	if (!ret)
		ret = watch(&w, EPOLL_CTL_ADD, channel, EPOLLIN, &w.channel);
	if (!ret && fetcher >= 0)
		ret = watch(&w, EPOLL_CTL_ADD, fetcher, EPOLLIN, &w.fetcher);
	if (!ret)
		ret = open_keepers(&w);
	attlsd_answers_open(fetcher);
	attlsd_staples_open(sets);
	if (!ret)
		ret = attlsd_sets_prepare(sets);
	if (!ret)
		ret = attlsd_sandbox_filter();
	if (!ret && write(channel, &ready, 1) != 1)
		ret = -EPIPE;
	if (!ret)
		ret = loop(&w);
	attlsd_keepers_close();
	return ret;
}
