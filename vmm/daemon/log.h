/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one logger: lines on standard error or in a file, with journald's priorities when journald listens.  Never
 * blocks: a line that nobody takes is dropped and counted.  Used by one thread only.
 */
#ifndef MEMTIDED_LOG_H
#define MEMTIDED_LOG_H

/* Numbers are syslog's. */
enum log_level {
	LOG_LEVEL_ERROR		= 3,
	LOG_LEVEL_WARNING	= 4,
	LOG_LEVEL_INFO		= 6,
	LOG_LEVEL_DEBUG		= 7,
};

/*
 * Log to @path, appending, or to standard error if it is NULL.  0 or negative errno, and then nothing has changed.
 */
int log_open(const char *path);
void log_set_level(enum log_level level);

__attribute__((format(printf, 2, 3)))
void log_line(enum log_level level, const char *format, ...);

#define log_error(...)		log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...)	log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)		log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)		log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
