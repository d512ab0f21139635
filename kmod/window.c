// SPDX-License-Identifier: GPL-2.0-only
/*
 * The start-up window: from the loading of the module until the first policy
 * is in force.  With startup=closed nobody but the few of permit.c connects
 * or accepts before that, so nothing of a connection that the policy protects
 * has left in clear.  It ends once and for all: what happens to attlsd or to
 * the policy later does not close it again.
 *
 * The messages are those of z/OS, whose stack does the same (INITSTACK).
 */
#include "internal.h"
#include <linux/module.h>

static bool close_at_start;		/* what modprobe was told */
static bool running;			/* window_lock: the module is loaded */
static bool policy_came;		/* window_lock */
static DEFINE_MUTEX(window_lock);

static void window_open(void)
{
	lockdep_assert_held(&window_lock);
	if (!attls_permit_is_limited())
		return;
	static_branch_disable(&attls_permit_few);
	attls_hook_wake();
}

/* A policy is in force.  With the first, all may go on.  May sleep. */
void attls_window_policy(void)
{
	guard(mutex)(&window_lock);
	if (policy_came)
		return;
	policy_came = true;
	if (attls_policy_empty())
		pr_notice("EZZ4249I attls INSTALLED TTLS POLICY HAS NO RULES\n");
	window_open();
	pr_notice("EZZ4250I AT-TLS SERVICES ARE AVAILABLE FOR attls\n");
}

/* Before sockets come to us, and policies. */
void attls_window_begin(void)
{
	guard(mutex)(&window_lock);
	running = true;
	if (!close_at_start)
		return;
	static_branch_enable(&attls_permit_few);
	pr_notice("EZZ4248E attls WAITING FOR PAGENT TTLS POLICY\n");
}

/*
 * By hand it can be opened, for a policy that does not load must not lock an
 * administrator out.  It is not closed on a system that is at work.
 */
static int set_at_work(bool closed)
{
	lockdep_assert_held(&window_lock);
	if (closed == attls_permit_is_limited())
		return 0;
	if (closed) {
		pr_notice("startup: it can be closed when the module is loaded, not later\n");
		return -EBUSY;
	}
	pr_notice("startup: opened by hand, without a policy\n");
	window_open();
	return 0;
}

static int startup_set(const char *val, const struct kernel_param *kp)
{
	bool closed = sysfs_streq(val, "closed");

	if (!closed && !sysfs_streq(val, "open")) {
		pr_notice("startup: open or closed, not '%s'\n", val);
		return -EINVAL;
	}
	guard(mutex)(&window_lock);
	if (running)
		return set_at_work(closed);
	close_at_start = closed;
	return 0;
}

static int startup_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n",
			  attls_permit_is_limited() ? "closed" : "open");
}

static const struct kernel_param_ops startup_ops = {
	.set = startup_set,
	.get = startup_get,
};
module_param_cb(startup, &startup_ops, NULL, 0600);
MODULE_PARM_DESC(startup, "connections until the first policy: open (default, in clear) or closed");
