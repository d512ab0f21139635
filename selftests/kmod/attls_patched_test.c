// SPDX-License-Identifier: GPL-2.0-only
/*
 * Has a function of the kernel as a live patch would have it: one may send its
 * callers elsewhere, and nobody else until this module goes.
 */
#include <linux/ftrace.h>
#include <linux/module.h>

static char *function;
module_param(function, charp, 0);
MODULE_PARM_DESC(function, "its name");

static void go_on(unsigned long ip, unsigned long parent,
		  struct ftrace_ops *ops, struct ftrace_regs *regs)
{
}

static struct ftrace_ops patch = {
	.func	= go_on,
	.flags	= FTRACE_OPS_FL_SAVE_REGS | FTRACE_OPS_FL_IPMODIFY,
};

static int __init patched_init(void)
{
	int err;

	if (!function)
		return -EINVAL;
	err = ftrace_set_filter(&patch, (unsigned char *)function,
				strlen(function), 1);
	return err ?: register_ftrace_function(&patch);
}

static void __exit patched_exit(void)
{
	unregister_ftrace_function(&patch);
	ftrace_free_filter(&patch);
}

module_init(patched_init);
module_exit(patched_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A function that nobody else may change");
