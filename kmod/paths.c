// SPDX-License-Identifier: GPL-2.0-only
/*
 * The program and the control group of the current process, as paths.  They
 * are asked for where nothing may sleep or fail, and only by policies that
 * name them: each processor has room for a pair, and what must outlive the
 * moment is copied.
 */
#include "internal.h"
#include <linux/cgroup.h>
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/limits.h>
#include <linux/mm_types.h>
#include <linux/percpu.h>
#include <linux/slab.h>

#define DELETED	" (deleted)"

struct buffers {
	char exe[PATH_MAX];
	char cgroup[PATH_MAX];
};

static struct buffers __percpu *buffers;

/* Before a policy that asks for paths is in force; calls do not overlap. */
int attls_paths_prepare(void)
{
	if (!buffers)
		buffers = alloc_percpu(struct buffers);
	return buffers ? 0 : -ENOMEM;
}

/* NULL: a kernel thread, or a path that is too long for a rule. */
static const char *exe_of_current(char *buf)
{
	struct file *file = NULL;
	char *path;
	size_t len;

	if (current->mm)
		file = get_file_active((struct file **)
				       &current->mm->exe_file);
	if (!file)
		return NULL;
	path = d_path(&file->f_path, buf, PATH_MAX);
	/* Replaced while it runs: it still is the program of that path. */
	if (!IS_ERR(path) && d_unlinked(file->f_path.dentry)) {
		len = strlen(path) - strlen(DELETED);
		if (len < PATH_MAX && !strcmp(path + len, DELETED))
			path[len] = '\0';
	}
	fput(file);
	return IS_ERR(path) ? NULL : path;
}

static const char *cgroup_of_current(char *buf)
{
	int len;

	rcu_read_lock();
	len = cgroup_path(task_dfl_cgroup(current), buf, PATH_MAX);
	rcu_read_unlock();
	return len < 0 ? NULL : buf;
}

/* What @paths has is good for as long as the task stays on its processor. */
void attls_paths_current(struct attls_paths *paths)
{
	struct buffers *b = this_cpu_ptr(buffers);

	paths->exe = exe_of_current(b->exe);
	paths->cgroup = cgroup_of_current(b->cgroup);
}

static char *append(char **to, const char *path)
{
	char *copy = *to;

	if (!path)
		return NULL;
	strcpy(copy, path);
	*to += strlen(path) + 1;
	return copy;
}

/* A copy for kfree(), or NULL.  Does not sleep. */
struct attls_paths *attls_paths_save(void)
{
	struct attls_paths now, *paths;
	char *to;

	preempt_disable();
	attls_paths_current(&now);
	paths = kmalloc(sizeof(*paths) +
			(now.exe ? strlen(now.exe) + 1 : 0) +
			(now.cgroup ? strlen(now.cgroup) + 1 : 0), GFP_ATOMIC);
	if (paths) {
		to = (char *)(paths + 1);
		paths->exe = append(&to, now.exe);
		paths->cgroup = append(&to, now.cgroup);
	}
	preempt_enable();
	return paths;
}

void attls_paths_exit(void)
{
	free_percpu(buffers);
}
