// SPDX-License-Identifier: GPL-2.0-only
/* One worker as the parent sees it: start, messages, death. */
#include "attlsd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUICK		5000	/* ms; who dies younger has a problem */
#define DELAY_MIN	100
#define DELAY_MAX	10000

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* What the parent had open is none of the worker's business. */
static void close_others(int *keep, size_t n)
{
	int from = STDERR_FILENO + 1;

	qsort(keep, n, sizeof(*keep), by_number);
	for (size_t i = 0; i < n; i++) {
		if (keep[i] > from)
			close_range(from, keep[i] - 1, 0);
		if (keep[i] >= from)
			from = keep[i] + 1;
	}
	close_range(from, ~0U, 0);
}

static void run(int device, int channel, int signer,
		const struct attlsd_identity *id,
		const struct attlsd_sets *sets)
{
	int keep[] = { device, channel, signer };
	int fetcher = -1;
	int ret = 0;

	close_others(keep, sizeof(keep) / sizeof(*keep));
	keyring_remote_use(signer);
	attlsd_log_connect();
	unsetenv("NOTIFY_SOCKET");
	if (attlsd_sets_ask(sets)) {
		fetcher = attlsd_fetcher_start(id);
		ret = fetcher < 0 ? fetcher : 0;
	}
	if (!ret)
		ret = attlsd_sandbox_enter(id);
	if (!ret)
		ret = attlsd_worker_main(device, channel, fetcher, sets);
	if (ret)
		attlsd_log(LOG_ERR, "worker ends: %s", strerror(-ret));
	_exit(ret ? EXIT_FAILURE : EXIT_SUCCESS);
}

int attlsd_child_start(struct attlsd_child *child, int device, int signer,
		       const struct attlsd_identity *id, unsigned int log_limit,
		       const struct attlsd_sets *sets)
{
	int channel[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel))
		return -errno;
	pid = fork();
	if (!pid) {
		attlsd_log_limit(log_limit);
		run(device, channel[1], signer, id, sets);
	}
	close(channel[1]);
	if (pid < 0) {
		close(channel[0]);
		return -errno;
	}
	child->pid = pid;
	child->channel = channel[0];
	child->started = attlsd_now();
	child->restart_at = 0;
	return 0;
}

void attlsd_child_send(struct attlsd_child *child, char message)
{
	if (child->pid)		/* one that is dying will be reaped */
		send(child->channel, &message, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Waits for @message from the worker; false when it does not come. */
bool attlsd_child_answered(struct attlsd_child *child, char message,
			   int64_t deadline)
{
	struct pollfd fd = { .fd = child->channel, .events = POLLIN };
	int64_t left = deadline - attlsd_now();
	char got;

	while (child->pid && poll(&fd, 1, left > 0 ? left : 0) > 0) {
		if (read(child->channel, &got, 1) != 1)
			return false;
		if (got == message)
			return true;
		left = deadline - attlsd_now();
	}
	return false;
}

void attlsd_child_ended(struct attlsd_child *child)
{
	close(child->channel);
	child->pid = 0;
}

/* At once, but not in a tight circle when it cannot live. */
void attlsd_child_schedule(struct attlsd_child *child)
{
	int64_t now = attlsd_now();
	int64_t delay = DELAY_MIN;

	if (now - child->started >= QUICK) {
		child->quick_deaths = 0;
		delay = 0;
	}
	for (unsigned int i = 0; i < child->quick_deaths && delay < DELAY_MAX;
	     i++)
		delay *= 2;
	if (delay > DELAY_MAX)
		delay = DELAY_MAX;
	child->quick_deaths++;
	child->restart_at = now + delay;
}
