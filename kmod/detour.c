// SPDX-License-Identifier: GPL-2.0-only
/*
 * How calls about sockets come to us whose operations are TCP's own: a socket
 * without a rule has nothing of ours, and yet is asked about.  A probe at the
 * beginning of the kernel's function looks at one argument alone, and has
 * ours go on instead, in the place of the function and with its arguments.
 *
 * SIOCTTLSCTL comes by sock_ioctl().  SOL_ATTLS comes by the options of IP,
 * where TCP hands on what is not its own: options of sockets, of TCP, and
 * all data never pay for the look.
 */
#include "internal.h"
#include <linux/compat.h>
#include <linux/kprobes.h>
#include <linux/wait_bit.h>

static atomic_t calls;			/* in the functions below */

/* The end of a call that redirect() has counted. */
static int leave(int ret)
{
	if (atomic_dec_and_test(&calls))
		wake_up_var(&calls);
	return ret;
}

/* At the first instruction, and nothing may sleep. */
static int redirect(struct pt_regs *regs, unsigned long to)
{
	atomic_inc(&calls);
	instruction_pointer_set(regs, to);
	return 1;
}

static bool is_ours(unsigned int cmd)
{
	const unsigned int size = _IOC_SIZEMASK << _IOC_SIZESHIFT;

	return (cmd | size) == (SIOCTTLSCTL | size);
}

/* The length of the argument is part of the command. */
static int do_ioctl(struct file *file, unsigned int cmd, void __user *arg)
{
	if (cmd != SIOCTTLSCTL)
		return -EINVAL;
	return attls_api_call(sock_from_file(file),
			      file->f_flags & O_NONBLOCK, arg);
}

static long our_sock_ioctl(struct file *file, unsigned int cmd,
			   unsigned long arg)
{
	return leave(do_ioctl(file, cmd, (void __user *)arg));
}

static int probe_ioctl(struct kprobe *probe, struct pt_regs *regs)
{
	if (likely(!is_ours(regs_get_kernel_argument(regs, 1))))
		return 0;
	return redirect(regs, (unsigned long)our_sock_ioctl);
}

/* NULL: a socket of the kernel's own, or a subflow. */
static struct socket *socket_of(struct sock *sk)
{
	struct socket *sock = sk->sk_socket;

	return sock && sock->sk == sk ? sock : NULL;
}

static int our_ip_setsockopt(struct sock *sk, int level, int optname,
			     sockptr_t optval, unsigned int optlen)
{
	struct socket *sock = socket_of(sk);

	return leave(sock ? attls_sockopt_set(sock, optname, optval, optlen) :
		     -ENOPROTOOPT);
}

static int our_ip_getsockopt(struct sock *sk, int level, int optname,
			     char __user *optval, int __user *optlen)
{
	struct socket *sock = socket_of(sk);

	return leave(sock ? attls_sockopt_get(sock, optname, optval, optlen) :
		     -ENOPROTOOPT);
}

static bool is_our_level(const struct pt_regs *regs)
{
	return unlikely((int)regs_get_kernel_argument((struct pt_regs *)regs,
						      1) == SOL_ATTLS);
}

static int probe_set(struct kprobe *probe, struct pt_regs *regs)
{
	return is_our_level(regs) ?
	       redirect(regs, (unsigned long)our_ip_setsockopt) : 0;
}

static int probe_get(struct kprobe *probe, struct pt_regs *regs)
{
	return is_our_level(regs) ?
	       redirect(regs, (unsigned long)our_ip_getsockopt) : 0;
}

#ifdef CONFIG_COMPAT
static long our_compat_sock_ioctl(struct file *file, unsigned int cmd,
				  unsigned long arg)
{
	return leave(do_ioctl(file, cmd, compat_ptr(arg)));
}

static int probe_compat(struct kprobe *probe, struct pt_regs *regs)
{
	if (likely(!is_ours(regs_get_kernel_argument(regs, 1))))
		return 0;
	return redirect(regs, (unsigned long)our_compat_sock_ioctl);
}
#endif

/* Who has one may go on elsewhere: kprobes do not optimize it to a jump. */
static void probe_done(struct kprobe *probe, struct pt_regs *regs,
		       unsigned long flags)
{
}

#define PROBE(name, handler) {				\
		.symbol_name	= name,			\
		.pre_handler	= handler,		\
		.post_handler	= probe_done,		\
		.flags		= KPROBE_FLAG_DISABLED,	\
	}

static struct kprobe detours[] = {
	PROBE("sock_ioctl", probe_ioctl),
#ifdef CONFIG_COMPAT
	PROBE("compat_sock_ioctl", probe_compat),
#endif
	PROBE("ip_setsockopt", probe_set),
	PROBE("ip_getsockopt", probe_get),
#if IS_BUILTIN(CONFIG_IPV6)
	PROBE("ipv6_setsockopt", probe_set),
	PROBE("ipv6_getsockopt", probe_get),
#endif
};

static struct kprobe *registered[ARRAY_SIZE(detours)];

/* No call is in our functions any more when this returns. */
static void end(int n)
{
	unregister_kprobes(registered, n);
	wait_var_event(&calls, !atomic_read(&calls));
	synchronize_rcu_tasks();	/* the way out; as in hook.c */
}

/*
 * In two steps: since 6.14 register_kprobe() returns 0 for a probe that it
 * could not arm, and has taken away.
 */
static int begin(struct kprobe *probe)
{
	int err = register_kprobe(probe);

	if (err)
		return err;
	err = enable_kprobe(probe);
	if (err)
		unregister_kprobe(probe);
	return err;
}

int attls_detour_init(void)
{
	size_t i;
	int err;

	for (i = 0; i < ARRAY_SIZE(detours); i++) {
		registered[i] = &detours[i];
		err = begin(registered[i]);
		if (!err)
			continue;
		pr_err("SIOCTTLSCTL and SOL_ATTLS need a kprobe on %s, and there is none: error %d; %s\n",
		       detours[i].symbol_name, err,
		       err == -EBUSY ? "a live patch has the function" :
		       "is the kernel built with CONFIG_KPROBES?");
		end(i);
		return err;
	}
	return 0;
}

void attls_detour_exit(void)
{
	end(ARRAY_SIZE(detours));
}
