// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a worker gives up before it looks at the first byte from the net:
 * files, user, capabilities, and all system calls that it does not need.
 *
 * It keeps /dev/attls, which is the right to do handshakes, and the private
 * keys of the policy, which it cannot do them without.
 */
#include "attlsd.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define EMPTY_DIR	"/run/attls/empty"
#define SIGNER_USER	"attls-sign"
#define FALLBACK_ID	65534
#define FILES		65536		/* handshakes are files */

int attlsd_sandbox_identity(const char *user, struct attlsd_identity *id)
{
	const char *names[] = { user ? user : "attls", user ? NULL : "nobody" };

	for (size_t i = 0; i < 2 && names[i]; i++) {
		struct passwd *pw = getpwnam(names[i]);

		if (!pw)
			continue;
		id->uid = pw->pw_uid;
		id->gid = pw->pw_gid;
		return id->uid ? 0 : -EPERM;	/* root is no sandbox */
	}
	id->uid = FALLBACK_ID;
	id->gid = FALLBACK_ID;
	return user ? -ENOENT : 0;
}

static void raise_limit(int resource, rlim_t want)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) ||
	    (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur >= want))
		return;
	limit.rlim_cur = want;
	if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < want)
		limit.rlim_max = want;
	if (!setrlimit(resource, &limit) || getrlimit(resource, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;	/* as far as it goes */
	setrlimit(resource, &limit);
}

/* In the parent, while it may; the workers inherit them. */
void attlsd_sandbox_limits(void)
{
	struct rlimit none = { 0, 0 };

	raise_limit(RLIMIT_NOFILE, FILES);
	raise_limit(RLIMIT_MEMLOCK, RLIM_INFINITY);
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
}

/*
 * Keys do not belong into swap.  Pages are locked as they are touched.  With
 * a limit on that, memory would run out where there is plenty, so then not.
 */
void attlsd_sandbox_lock_memory(int priority)
{
	struct rlimit limit = { 0, 0 };

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur != RLIM_INFINITY)
		attlsd_log(priority, "memory is not locked: RLIMIT_MEMLOCK");
	else if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
		attlsd_log(priority, "memory is not locked: %s",
			   strerror(errno));
}

/* Not having the empty directory costs a layer, not the service. */
static int enter_empty(void)
{
	if (mkdir(EMPTY_DIR, 0555) && errno != EEXIST)
		attlsd_log(LOG_WARNING, "%s: %s", EMPTY_DIR, strerror(errno));
	else if (!chroot(EMPTY_DIR))
		return chdir("/") ? -errno : 0;
	attlsd_log(LOG_WARNING, "worker runs without chroot");
	return 0;
}

static int drop_identity(const struct attlsd_identity *id)
{
	int ret;

	capng_clear(CAPNG_SELECT_ALL);
	ret = capng_change_id(id->uid, id->gid, CAPNG_DROP_SUPP_GRP |
			      CAPNG_CLEAR_BOUNDING | CAPNG_CLEAR_AMBIENT);
	if (ret) {
		attlsd_log(LOG_ERR, "changing to user %u: error %d", id->uid,
			   ret);
		return -EPERM;
	}
	if (getuid() != id->uid || geteuid() != id->uid ||
	    capng_have_capabilities(CAPNG_SELECT_CAPS) != CAPNG_NONE)
		return -EPERM;
	return 0;
}

int attlsd_sandbox_drop(const struct attlsd_identity *id)
{
	int ret = drop_identity(id);

	if (!ret && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		     prctl(PR_SET_DUMPABLE, 0)))
		ret = -errno;
	return ret;
}

int attlsd_sandbox_enter(const struct attlsd_identity *id)
{
	int ret;

	attlsd_sandbox_lock_memory(LOG_DEBUG);
	ret = enter_empty();
	return ret ? ret : attlsd_sandbox_drop(id);
}

static const int allowed[] = {
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(close),
	SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2),
	SCMP_SYS(epoll_ctl), SCMP_SYS(munmap), SCMP_SYS(mremap),
	SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(futex),
	SCMP_SYS(getrandom), SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres),
	SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getpid),
	SCMP_SYS(gettid), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigaction), SCMP_SYS(restart_syscall),
	SCMP_SYS(sched_yield), SCMP_SYS(membarrier), SCMP_SYS(rseq),
	SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(tgkill),
	SCMP_SYS(exit), SCMP_SYS(exit_group),
};

/* No program that works has a reason to come near these. */
static const int deadly[] = {
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork),
	SCMP_SYS(vfork), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev), SCMP_SYS(bpf), SCMP_SYS(init_module),
	SCMP_SYS(finit_module), SCMP_SYS(setuid), SCMP_SYS(setresuid),
	SCMP_SYS(unshare), SCMP_SYS(mount), SCMP_SYS(chroot),
	SCMP_SYS(io_uring_setup),
};

/* The fetcher lives by these. */
static const int deadly_to_workers[] = {
	SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(socket),
	SCMP_SYS(connect),
};

/* What a fetcher or a signer, which load more code, could do to others. */
static const int not_for_fetchers[] = {
	SCMP_SYS(kill), SCMP_SYS(tkill), SCMP_SYS(pidfd_open),
	SCMP_SYS(pidfd_send_signal), SCMP_SYS(pidfd_getfd),
	SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4),
	SCMP_SYS(keyctl), SCMP_SYS(add_key), SCMP_SYS(request_key),
	SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(unlink),
	SCMP_SYS(unlinkat), SCMP_SYS(rename), SCMP_SYS(renameat),
	SCMP_SYS(renameat2), SCMP_SYS(truncate), SCMP_SYS(chmod),
	SCMP_SYS(fchmodat), SCMP_SYS(mkdir), SCMP_SYS(mkdirat),
	SCMP_SYS(symlink), SCMP_SYS(symlinkat), SCMP_SYS(link),
	SCMP_SYS(linkat),
};

#define ADD_ALL(filter, action, calls) \
	add_all(filter, action, calls, sizeof(calls) / sizeof(*(calls)))

static const unsigned long ioctls[] = {
	ATTLS_IOC_ACCEPT, ATTLS_IOC_INSTALL, ATTLS_IOC_FAIL, ATTLS_IOC_STATUS,
	ATTLS_IOC_WISHES, ATTLS_IOC_EVENT, ATTLS_IOC_TICKET,
};

static int add_all(scmp_filter_ctx filter, uint32_t action, const int *calls,
		   size_t n)
{
	int ret = 0;

	for (size_t i = 0; i < n && !ret; i++)
		ret = seccomp_rule_add(filter, action, calls[i], 0);
	return ret;
}

/* Memory may be had, but never memory that can be executed. */
static int add_memory(scmp_filter_ctx filter, int syscall)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, syscall, 1,
				SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

static int add_rules(scmp_filter_ctx filter)
{
	int ret;

	ret = ADD_ALL(filter, SCMP_ACT_ALLOW, allowed);
	if (!ret)
		ret = ADD_ALL(filter, SCMP_ACT_KILL_PROCESS, deadly);
	if (!ret)
		ret = ADD_ALL(filter, SCMP_ACT_KILL_PROCESS,
			      deadly_to_workers);
	if (!ret)
		ret = add_memory(filter, SCMP_SYS(mmap));
	if (!ret)
		ret = add_memory(filter, SCMP_SYS(mprotect));
	for (size_t i = 0; i < sizeof(ioctls) / sizeof(*ioctls) && !ret; i++)
		ret = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl),
				       1, SCMP_A1(SCMP_CMP_EQ, ioctls[i]));
	return ret;
}

static int add_fetcher_rules(scmp_filter_ctx filter)
{
	int ret = ADD_ALL(filter, SCMP_ACT_KILL_PROCESS, deadly);

	return ret ? ret : ADD_ALL(filter, SCMP_ACT_ERRNO(EPERM),
				   not_for_fetchers);
}

/* Daemons of tokens listen on the machine; what does not, is not for us. */
static int add_signer_rules(scmp_filter_ctx filter)
{
	int ret = add_fetcher_rules(filter);

	return ret ? ret : seccomp_rule_add(filter,
					    SCMP_ACT_ERRNO(EAFNOSUPPORT),
					    SCMP_SYS(socket), 1,
					    SCMP_A0(SCMP_CMP_NE, AF_UNIX));
}

static int load_filter(uint32_t otherwise, int (*add)(scmp_filter_ctx filter))
{
	scmp_filter_ctx filter = seccomp_init(otherwise);
	int ret = -ENOMEM;

#ifdef __SANITIZE_ADDRESS__
	/* Reports of the sanitizer need what the filter takes away. */
	seccomp_release(filter);
	return 0;
#endif
	if (!filter)
		return ret;
	/* Logging is a nicety of newer kernels. */
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	ret = add(filter);
	if (!ret)
		ret = seccomp_load(filter);
	seccomp_release(filter);
	return ret;
}

/*
 * A call outside of the list fails with EPERM, and the kernel logs it: a new
 * libc that wants another one must not take all handshakes down.
 */
int attlsd_sandbox_filter(void)
{
	return load_filter(SCMP_ACT_ERRNO(EPERM), add_rules);
}

/*
 * A fetcher has no keys and, like any process of its user, no rights.
 * Resolving names may load modules and ask who knows whom, so its list is one
 * of what it may not do; and it writes no files.
 */
int attlsd_sandbox_fetcher(void)
{
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_FSIZE, &none) || prctl(PR_SET_DUMPABLE, 0))
		return -errno;
	return load_filter(SCMP_ACT_ALLOW, add_fetcher_rules);
}

/*
 * Who may use a token is up to the system: an own user, if there is one, with
 * its groups.  Else it is root, who owns the files of most, but without its
 * capabilities.
 */
static int drop_to_signer(void)
{
	const struct passwd *pw = getpwnam(SIGNER_USER);
	int ret;

	capng_clear(CAPNG_SELECT_ALL);
	if (pw)
		ret = capng_change_id(pw->pw_uid, pw->pw_gid,
				      CAPNG_INIT_SUPP_GRP |
				      CAPNG_CLEAR_BOUNDING |
				      CAPNG_CLEAR_AMBIENT);
	else
		ret = capng_apply(CAPNG_SELECT_ALL);
	if (ret || capng_have_capabilities(CAPNG_SELECT_CAPS) != CAPNG_NONE)
		return -EPERM;
	return 0;
}

/* Modules open what they like, so this list is one of what not, as well. */
int attlsd_sandbox_signer(void)
{
	int ret = geteuid() ? 0 : drop_to_signer();

	if (!ret && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		     prctl(PR_SET_DUMPABLE, 0)))
		ret = -errno;
	return ret ? ret : load_filter(SCMP_ACT_ALLOW, add_signer_rules);
}
