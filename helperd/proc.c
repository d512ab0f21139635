// SPDX-License-Identifier: GPL-2.0-only
/*
 * The processes of attlsd
 *
 *	parent (root)		policy, key rings, control socket, netlink
 *	  signer		keys that are on tokens of PKCS#11, if the
 *				policy has such.  See signer.c
 *	  worker ... worker	handshakes; no rights but /dev/attls
 *	    fetcher		HTTP for its worker, if the policy wants that;
 *				no keys.  See fetcher.c
 *
 * The parent never touches a byte from the net.  It reads the policy and the
 * keys, makes every SSL_CTX, and forks the workers, who find all of that in
 * their memory; then it installs the rules in the kernel.  A reload is the
 * same again: new workers, new rules, and the old workers end what they have
 * begun.  So a policy is never changed under a process that uses it, and
 * needs no lock.  All that the workers share is the sessions, see store.c.
 *
 *	parent to worker	one byte on a socketpair: pause, resume,
 *				drain, stop; its end of file: the parent died
 *	worker to parent	one byte when ready, one when paused
 *
 * The parent is one loop over poll(): a signalfd, a timerfd, the control
 * socket and its clients.  SIGCHLD: a worker that dies is restarted, later
 * and later when it dies young.  SIGHUP: reload.  SIGTERM, SIGINT: the
 * workers end within ten seconds; the rules stay in the kernel, which lets
 * nothing out in clear while nobody is there to shake hands.  Connections
 * that are up do not notice any of this.
 *
 * Threads would save the memory of the copies that fork shares anyway, and
 * cost the seccomp filter, the locks, and all handshakes when one crashes.
 */
#include "attlsd.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#define OWN_FDS	2			/* those of struct proc */

struct proc {
	int	signals;
	int	clock;
	bool	stopping;
};

int64_t attlsd_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

void attlsd_proc_reloading(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
		   now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000);
}

void attlsd_proc_ready(void)
{
	const struct attlsd_set *set = attlsd_reload_current();

	if (set)
		sd_notifyf(0, "READY=1\nSTATUS=%zu rules, generation %u, %s",
			   policy_rule_count(set->policy), set->generation,
			   attlsd_reload_file());
}

static int open_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	/* Workers inherit the mask: a signal to the group is ours to act on. */
	if (sigprocmask(SIG_BLOCK, &set, NULL) ||
	    signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static int load(const char *path)
{
	struct policy_diags diags = { 0 };
	char error[ATTLSD_WHY];
	int ret = attlsd_reload(path, &diags, error);

	policy_diags_free(&diags);
	return ret;
}

static void stop(struct proc *proc)
{
	if (proc->stopping)
		return;
	sd_notify(0, "STOPPING=1");
	if (attlsd_reload_current())
		attlsd_log(LOG_NOTICE,
			   "stopping; the rules stay in force in the kernel");
	proc->stopping = true;
	attlsd_ctl_close();
	attlsd_reload_stop();
}

static void take_signal(struct proc *proc)
{
	struct signalfd_siginfo info;

	if (read(proc->signals, &info, sizeof(info)) != sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGCHLD:
		attlsd_team_reap();
		break;
	case SIGHUP:
		if (proc->stopping)
			break;
		attlsd_proc_reloading();
		load(NULL);
		attlsd_proc_ready();
		break;
	default:
		stop(proc);
		break;
	}
}

/*
 * Readable after a day, or when the clock is set: then the times that the
 * kernel has are to be worked out again.
 */
static int arm_clock(int fd)
{
	const struct itimerspec day = {
		.it_value.tv_sec = time(NULL) + 86400,
	};

	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
			       &day, NULL);
}

static int open_clock(void)
{
	int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);

	if (fd < 0 || arm_clock(fd)) {
		attlsd_log(LOG_ERR, "timerfd: %m");
		return -errno;
	}
	return fd;
}

static void take_clock(struct proc *proc)
{
	uint64_t times;

	/* ECANCELED: it was set. */
	if (read(proc->clock, &times, sizeof(times)) < 0 &&
	    errno != ECANCELED)
		return;
	arm_clock(proc->clock);
	if (!proc->stopping)
		attlsd_reload_again();
}

static int sooner(int a, int b)
{
	if (a < 0 || b < 0)
		return a < 0 ? b : a;
	return a < b ? a : b;
}

static void turn(struct proc *proc)
{
	struct pollfd fds[OWN_FDS + ATTLSD_CTL_FDS] = {
		{ .fd = proc->signals, .events = POLLIN },
		{ .fd = proc->clock, .events = POLLIN },
	};
	int ms;
	size_t n;

	attlsd_reload_tend();
	ms = sooner(attlsd_team_tend(), attlsd_ctl_expire());
	n = attlsd_ctl_poll(fds + OWN_FDS);

	if (poll(fds, OWN_FDS + n, ms) < 0)
		return;
	if (fds[0].revents)
		take_signal(proc);
	if (fds[1].revents)
		take_clock(proc);
	attlsd_ctl_serve(fds + OWN_FDS, n);
}

static int start(struct proc *proc, const struct attlsd_config *config)
{
	int device;
	int ret;

	proc->signals = open_signals();
	if (proc->signals < 0)
		return proc->signals;
	proc->clock = open_clock();
	if (proc->clock < 0)
		return proc->clock;
	ret = attlsd_ctl_open(config->socket);
	if (ret) {
		attlsd_log(LOG_ERR, "%s: %s", config->socket,
			   ret == -EADDRINUSE ? "another attlsd is running" :
			   strerror(-ret));
		return ret;
	}
	device = attlsd_agent_open();
	if (device < 0) {
		attlsd_log(LOG_ERR, "/dev/attls: %s%s", strerror(-device),
			   device == -ENOENT ?
			   " (is the attls module loaded?)" : "");
		return device;
	}
	ret = attlsd_team_init(config, device);
	if (ret)
		return ret;
	sd_notifyf(0, "STATUS=reading %s", config->policy);
	return load(config->policy);
}

/* Runs until it is told to stop. */
int attlsd_proc_main(const struct attlsd_config *config)
{
	struct proc proc = { .signals = -1, .clock = -1 };
	int ret = start(&proc, config);

	if (ret) {
		stop(&proc);
	} else {
		attlsd_log(LOG_INFO, "attlsd %s, %u workers", ATTLS_VERSION,
			   config->workers);
		attlsd_proc_ready();
	}
	while (!proc.stopping || attlsd_team_alive())
		turn(&proc);
	return ret;
}
