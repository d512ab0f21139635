// SPDX-License-Identifier: GPL-2.0-only
/* Runs the matcher in the kernel for selftests/policy/kernel_match.c. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "match_device.h"

/* Of an open file. */
struct asking {
	struct mutex		lock;
	void			*blob;		/* NULL: no set yet */
	struct attls_set	set;
};

static int device_open(struct inode *inode, struct file *file)
{
	struct asking *a = kzalloc(sizeof(*a), GFP_KERNEL);

	if (!a)
		return -ENOMEM;
	mutex_init(&a->lock);
	file->private_data = a;
	return 0;
}

static int device_release(struct inode *inode, struct file *file)
{
	struct asking *a = file->private_data;

	kvfree(a->blob);
	kfree(a);
	return 0;
}

static ssize_t device_write(struct file *file, const char __user *buf,
			    size_t len, loff_t *pos)
{
	struct asking *a = file->private_data;
	struct attls_set set;
	void *blob;
	u32 where;

	if (len > ATTLS_SET_MAX_BYTES)
		return -E2BIG;
	blob = kvmalloc(len, GFP_KERNEL);
	if (!blob)
		return -ENOMEM;
	if (copy_from_user(blob, buf, len)) {
		kvfree(blob);
		return -EFAULT;
	}
	if (attls_set_parse(&set, blob, len, &where)) {
		kvfree(blob);
		return -EINVAL;
	}
	mutex_lock(&a->lock);
	kvfree(a->blob);
	a->blob = blob;
	a->set = set;
	mutex_unlock(&a->lock);
	return len;
}

static int answer(const struct asking *a, const struct match_questions *q,
		  u32 i)
{
	const struct attls_tuple __user *tuples = u64_to_user_ptr(q->tuples);
	struct match_answer __user *answers = u64_to_user_ptr(q->answers);
	struct match_answer found;
	struct attls_tuple t;

	if (copy_from_user(&t, &tuples[i], sizeof(t)))
		return -EFAULT;
	t.exe = NULL;
	t.cgroup = NULL;
	t.job[sizeof(t.job) - 1] = '\0';
	found.rule = attls_set_match(&a->set, &t);
	found.any = attls_set_match_any(&a->set, &t);
	return copy_to_user(&answers[i], &found, sizeof(found)) ? -EFAULT : 0;
}

static long device_ioctl(struct file *file, unsigned int cmd,
			 unsigned long arg)
{
	struct asking *a = file->private_data;
	struct match_questions q;
	int err = 0;
	u32 i;

	if (cmd != MATCH_IOC_ASK)
		return -ENOTTY;
	if (copy_from_user(&q, (void __user *)arg, sizeof(q)))
		return -EFAULT;
	if (q.reserved)
		return -EINVAL;
	mutex_lock(&a->lock);
	if (!a->blob)
		err = -ENODATA;
	for (i = 0; !err && i < q.n; i++) {
		err = answer(a, &q, i);
		cond_resched();
	}
	mutex_unlock(&a->lock);
	return err;
}

static const struct file_operations device_fops = {
	.owner		= THIS_MODULE,
	.open		= device_open,
	.release	= device_release,
	.write		= device_write,
	.unlocked_ioctl	= device_ioctl,
};

static struct miscdevice device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= MATCH_DEVICE,
	.fops	= &device_fops,
	.mode	= 0600,
};

module_misc_device(device);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Test of the attls matcher in the kernel");
