// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log is standard error: the journal when it listens there (it reads
 * the priority in front of the line), else lines with time and level.
 * One write a line, so that the lines of several processes do not mix.
 *
 * What is read from standard error is of the facility daemon.  Lines of
 * another go to the journal's own socket, which says so; where there is no
 * journal they name it.
 */
#include "attlsd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LINE_SIZE	1024
#define HEAD_SIZE	128
#define JOURNAL		"/run/systemd/journal/socket"

static bool attlsd_log_journal;
static int attlsd_log_socket = -1;	/* of the journal */
static bool attlsd_log_verbose;

static struct {
	unsigned int rate;		/* lines a second, 0 = no limit */
	unsigned int left;		/* this second */
	unsigned int suppressed;
	time_t	second;
} attlsd_log_bucket;

/* JOURNAL_STREAM may be inherited by somebody whose stderr is another. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	       !fstat(STDERR_FILENO, &st) && st.st_dev == dev &&
	       st.st_ino == ino;
}

void attlsd_log_open(bool debug)
{
	/* Even gmtime() wants a file, once; a worker cannot open it. */
	tzset();
	attlsd_log_verbose = debug;
	attlsd_log_journal = stderr_is_journal();
}

bool attlsd_log_debug(void)
{
	return attlsd_log_verbose;
}

static const char *const level_names[] = {
	"emergency", "alert", "critical", "error", "warning", "notice",
	"info", "debug",
};

/*
 * A worker has no way to the journal once it is in its sandbox.  Without the
 * socket all goes to standard error.
 */
void attlsd_log_connect(void)
{
	const struct sockaddr_un addr = {
		.sun_family = AF_UNIX,
		.sun_path = JOURNAL,
	};
	int fd;

	if (!attlsd_log_journal)
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (void *)&addr, sizeof(addr))) {
		close(fd);
		fd = -1;
	}
	attlsd_log_socket = fd;
}

static bool is_daemon(int priority)
{
	int facility = priority & LOG_FACMASK;

	return !facility || facility == LOG_DAEMON;
}

/* UTC, because a worker cannot read the local time zone. */
static size_t put_head(char *buf, size_t size, int priority)
{
	struct timespec now;
	struct tm tm;
	size_t n;

	if (attlsd_log_journal)
		return snprintf(buf, size, "<%d>", LOG_PRI(priority));
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(buf, size, "%Y-%m-%dT%H:%M:%S", &tm);
	return n + snprintf(buf + n, size - n, ".%03ldZ attlsd[%d] %s%s: ",
			    now.tv_nsec / 1000000, getpid(),
			    is_daemon(priority) ? "" : "auth.",
			    level_names[LOG_PRI(priority)]);
}

/* The fields of the journal; the line is the last one's value. */
static size_t put_fields(char *buf, size_t size, int priority)
{
	return snprintf(buf, size, "PRIORITY=%d\nSYSLOG_FACILITY=%d\n"
			"SYSLOG_IDENTIFIER=attlsd\nSYSLOG_PID=%d\nMESSAGE=",
			LOG_PRI(priority), LOG_FAC(priority), getpid());
}

static bool put(int fd, char *head, size_t head_len, char *line, size_t len)
{
	const struct iovec parts[] = {
		{ .iov_base = head, .iov_len = head_len },
		{ .iov_base = line, .iov_len = len },
	};

	return writev(fd, parts, 2) >= 0;
}

static void put_line(int priority, char *line, size_t len)
{
	char head[HEAD_SIZE];
	size_t n;

	if (attlsd_log_socket >= 0 && !is_daemon(priority)) {
		n = put_fields(head, sizeof(head), priority);
		if (put(attlsd_log_socket, head, n, line, len))
			return;
	}
	n = put_head(head, sizeof(head), priority);
	if (!put(STDERR_FILENO, head, n, line, len)) {
		/* Nobody is left to be told. */
	}
}

/* What peers and programs may have put into a line must stay one line. */
static void neutralise(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
}

/* @priority may have a facility as well, as in syslog(3). */
void attlsd_log(int priority, const char *format, ...)
{
	char line[LINE_SIZE + 1];
	int error = errno;
	size_t n;
	va_list ap;

	if (LOG_PRI(priority) == LOG_DEBUG && !attlsd_log_verbose)
		return;
	va_start(ap, format);
	n = vsnprintf(line, LINE_SIZE, format, ap);
	va_end(ap);
	if (n >= LINE_SIZE)
		n = LINE_SIZE - 1;
	neutralise(line);
	line[n++] = '\n';
	put_line(priority, line, n);
	errno = error;
}

static void log_diag(const struct policy_diag *d)
{
	char place[32] = "";

	/* What is wrong with a file as a whole has no line. */
	if (d->line)
		snprintf(place, sizeof(place), "%d:%d:", d->line, d->column);
	attlsd_log(d->severity == POLICY_ERROR ? LOG_ERR : LOG_WARNING,
		   "%s:%s %s%s%s", d->file ? d->file : "policy", place,
		   d->message, d->suggestion ? "; " : "",
		   d->suggestion ? d->suggestion : "");
}

void attlsd_log_diags(const struct policy_diags *diags)
{
	for (size_t i = 0; i < diags->n; i++)
		log_diag(&diags->diag[i]);
	if (diags->dropped)
		attlsd_log(LOG_WARNING, "%zu more diagnostics are not shown",
			   diags->dropped);
}

void attlsd_log_limit(unsigned int limit)
{
	attlsd_log_bucket.rate = limit;
	attlsd_log_bucket.left = limit;
}

static time_t this_second(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

void attlsd_log_tick(void)
{
	unsigned int suppressed = attlsd_log_bucket.suppressed;
	time_t now = this_second();

	if (now == attlsd_log_bucket.second)
		return;
	attlsd_log_bucket.second = now;
	attlsd_log_bucket.left = attlsd_log_bucket.rate;
	attlsd_log_bucket.suppressed = 0;
	if (suppressed)
		attlsd_log(LOG_WARNING,
			   "%u messages about failed handshakes suppressed",
			   suppressed);
}

bool attlsd_log_allowed(void)
{
	attlsd_log_tick();
	if (!attlsd_log_bucket.rate)
		return true;
	if (!attlsd_log_bucket.left) {
		attlsd_log_bucket.suppressed++;
		return false;
	}
	attlsd_log_bucket.left--;
	return true;
}
