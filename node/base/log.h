/* log - one event per line: subject first, then pairs (`link: closed peer=ut.ee reason=revoked`).
 *
 * Goes to the journal with fields when stderr is connected to it (JOURNAL_STREAM), else as lines to stderr: text on a
 * terminal, JSON objects elsewhere. Payloads, persons and keys stay out. error: someone must act; warn: the node coped;
 * info: state changed; debug: everything else. Thread-safe; the level is set once at start. */
#ifndef ENLIGHT_BASE_LOG_H
#define ENLIGHT_BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Reads ENLIGHT_LOG (error, warn, info, debug; default info) and looks where stderr goes. Call before threads start. */
void log_open(void);

/* `message` is "subject: what happened key=value key=value"; control characters are replaced. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
