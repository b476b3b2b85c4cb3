/* A disk that fails when it is told to, loaded into the program by LD_PRELOAD.
 *
 * It stands between the program, with the SQLite in it, and the C library, and looks at calls about files below
 * $DISKS_WATCHED. What fails is said by one line in $DISKS_CONTROL/rule, read anew at every such call, so that a test can
 * change it (by renaming a new file over it) while the program runs:
 *
 *     SERIAL CLASS KIND FROM LENGTH
 *
 * Of the calls of this CLASS that can fail in this KIND, counted since SERIAL was first seen, those from the FROM-th on fail,
 * LENGTH of them; with a LENGTH of 0 all of them, until the rule changes. No file, or a line that is none: nothing fails.
 *
 *     class: open read write sync truncate name (rename, link, unlink, mkdir) all
 *     kind:  eio, enospc, edquot, erofs: the call does nothing and sets this errno
 *            short: half of it is done; the calls after it fail with ENOSPC (reads: are halved too)
 *
 * $DISKS_CONTROL/seen holds three numbers of 64 bits, in this machine's order: the serial, the calls counted, the calls
 * failed. $DISKS_CONTROL/failed has a line for each call that failed: serial, kind, call, file.
 *
 * Not seen here: mappings of the -shm file, locks, stat, and what makes system calls without the C library. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum class { OPEN = 1, READ = 2, WRITE = 4, SYNC = 8, TRUNCATE = 16, NAME = 32 };
enum kind { NONE, EIO_KIND, ENOSPC_KIND, EDQUOT_KIND, EROFS_KIND, SHORT_KIND, FULL_KIND };

#define MOST_FILES 4096
#define NAME_BYTES 48
static char names[MOST_FILES][NAME_BYTES]; /* of watched files that are open; empty: not watched */

struct seen { uint64_t serial, counted, failed; };
static struct seen *seen;
static const char *watched, *control;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

/* The C library's own, without coming by here again. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    char path[PATH_MAX];
    watched = getenv("DISKS_WATCHED");
    const char *place = getenv("DISKS_CONTROL");
    if (!watched || !place) return;
    snprintf(path, sizeof path, "%s/seen", place);
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || syscall(SYS_ftruncate, fd, sizeof *seen) != 0) abort();
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (seen == MAP_FAILED) abort();
    control = place;
}

static int is_watched(const char *path) {
    size_t length = control ? strlen(watched) : 0;
    return control && path && strncmp(path, watched, length) == 0 && path[length] == '/';
}

static const char *name_of(int fd) { return fd >= 0 && fd < MOST_FILES && names[fd][0] ? names[fd] : NULL; }

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

struct rule { uint64_t serial, from, length; int classes; enum kind kind; };

static int read_rule(struct rule *rule) {
    char path[PATH_MAX], line[128] = "", class[16], kind[16];
    snprintf(path, sizeof path, "%s/rule", control);
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t length = syscall(SYS_read, fd, line, sizeof line - 1);
    syscall(SYS_close, fd);
    if (length <= 0) return 0;
    unsigned long serial, from, many;
    if (sscanf(line, "%lu %15s %15s %lu %lu", &serial, class, kind, &from, &many) != 5) return 0;
    static const struct { const char *word; int classes; } classes[] = {
        {"open", OPEN}, {"read", READ}, {"write", WRITE}, {"sync", SYNC}, {"truncate", TRUNCATE}, {"name", NAME},
        {"all", OPEN | READ | WRITE | SYNC | TRUNCATE | NAME}};
    static const struct { const char *word; enum kind kind; int can; } kinds[] = {
        {"eio", EIO_KIND, OPEN | READ | WRITE | SYNC | TRUNCATE | NAME},
        {"enospc", ENOSPC_KIND, OPEN | WRITE | SYNC | TRUNCATE | NAME},
        {"edquot", EDQUOT_KIND, OPEN | WRITE | SYNC | TRUNCATE | NAME},
        {"erofs", EROFS_KIND, OPEN | WRITE | SYNC | TRUNCATE | NAME},
        {"short", SHORT_KIND, READ | WRITE}};
    rule->classes = 0;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strcmp(class, classes[i].word) == 0) rule->classes = classes[i].classes;
    rule->kind = NONE;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kind, kinds[i].word) == 0) rule->kind = kinds[i].kind, rule->classes &= kinds[i].can;
    rule->serial = serial, rule->from = from, rule->length = many;
    return rule->kind != NONE;
}

static void log_failure(const struct rule *rule, enum kind kind, const char *call, const char *file) {
    static const char *const words[] = {"", "eio", "enospc", "edquot", "erofs", "short", "full"};
    char path[PATH_MAX], line[256];
    snprintf(path, sizeof path, "%s/failed", control);
    int length = snprintf(line, sizeof line, "%lu %s %s %s\n", (unsigned long)rule->serial, words[kind], call, file);
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || syscall(SYS_write, fd, line, length) != length) abort();
    syscall(SYS_close, fd);
}

/* What a call would do to the file system: a read-only one refuses changes, a full one only what grows. */
enum effect { READS, CHANGES, GROWS };

static int can_fail(enum kind kind, enum effect effect) {
    switch (kind) {
        case ENOSPC_KIND: case EDQUOT_KIND: return effect == GROWS;
        case EROFS_KIND: return effect != READS;
        default: return 1;
    }
}

/* Whether this call is to fail, and how. */
static enum kind verdict(enum class class, enum effect effect, const char *call, const char *file) {
    struct rule rule;
    enum kind kind = NONE;
    int before = errno;
    pthread_mutex_lock(&one_at_a_time);
    if (read_rule(&rule) && (rule.classes & class) && can_fail(rule.kind, effect)) {
        if (seen->serial != rule.serial) *seen = (struct seen){rule.serial, 0, 0};
        uint64_t number = ++seen->counted;
        if (number >= rule.from && (rule.length == 0 || number < rule.from + rule.length)) {
            kind = rule.kind == SHORT_KIND && class == WRITE && number > rule.from ? FULL_KIND : rule.kind;
            seen->failed++;
            log_failure(&rule, kind, call, file);
        }
    }
    pthread_mutex_unlock(&one_at_a_time);
    errno = before;
    return kind;
}

static int error_of(enum kind kind) {
    switch (kind) {
        case EIO_KIND: return EIO;
        case EDQUOT_KIND: return EDQUOT;
        case EROFS_KIND: return EROFS;
        default: return ENOSPC;
    }
}

static int fails(enum kind kind) {
    if (kind == NONE) return 0;
    errno = error_of(kind);
    return -1;
}

static int opened(int fd, const char *path) {
    if (fd >= 0 && fd < MOST_FILES) {
        names[fd][0] = 0;
        if (is_watched(path)) snprintf(names[fd], NAME_BYTES, "%s", last_part(path));
    }
    return fd;
}

static int refuses_open(const char *path, int flags) {
    if (!is_watched(path)) return 0;
    enum effect effect = flags & (O_WRONLY | O_RDWR | O_CREAT) ? CHANGES : READS;
    if (flags & O_CREAT && access(path, F_OK) != 0) effect = GROWS;
    return fails(verdict(OPEN, effect, "open", last_part(path)));
}

#define MODE(flags) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return refuses_open(path, flags) ? -1 : opened(REAL(open)(path, flags, mode), path);
}
int open64(const char *path, int flags, ...) {
    MODE(flags)
    return refuses_open(path, flags) ? -1 : opened(REAL(open64)(path, flags, mode), path);
}
int openat(int at, const char *path, int flags, ...) {
    MODE(flags)
    return refuses_open(path, flags) ? -1 : opened(REAL(openat)(at, path, flags, mode), path);
}
int openat64(int at, const char *path, int flags, ...) {
    MODE(flags)
    return refuses_open(path, flags) ? -1 : opened(REAL(openat64)(at, path, flags, mode), path);
}
int close(int fd) {
    if (fd >= 0 && fd < MOST_FILES) names[fd][0] = 0;
    return REAL(close)(fd);
}

/* Reads and writes; where half of it is done, `length` is the half. */
#define TRANSFER(class, effect, call) \
    if (name_of(fd)) { \
        enum kind kind = verdict(class, effect, call, name_of(fd)); \
        if (kind == SHORT_KIND) length -= length / 2; \
        else if (kind != NONE) return fails(kind); \
    }

ssize_t read(int fd, void *to, size_t length) { TRANSFER(READ, READS, "read") return REAL(read)(fd, to, length); }
ssize_t pread(int fd, void *to, size_t length, off_t at) { TRANSFER(READ, READS, "pread") return REAL(pread)(fd, to, length, at); }
ssize_t pread64(int fd, void *to, size_t length, off64_t at) { TRANSFER(READ, READS, "pread") return REAL(pread64)(fd, to, length, at); }
ssize_t write(int fd, const void *from, size_t length) { TRANSFER(WRITE, GROWS, "write") return REAL(write)(fd, from, length); }
ssize_t pwrite(int fd, const void *from, size_t length, off_t at) { TRANSFER(WRITE, GROWS, "pwrite") return REAL(pwrite)(fd, from, length, at); }
ssize_t pwrite64(int fd, const void *from, size_t length, off64_t at) { TRANSFER(WRITE, GROWS, "pwrite") return REAL(pwrite64)(fd, from, length, at); }
ssize_t writev(int fd, const struct iovec *parts, int number) {
    if (!name_of(fd)) return REAL(writev)(fd, parts, number);
    /* A write of the first part alone is a short one already. */
    return number > 0 ? write(fd, parts[0].iov_base, parts[0].iov_len) : 0;
}

#define CALL(class, effect, call, result, file, ...) \
    const char *file_name = file; \
    if (file_name && fails(verdict(class, effect, #call, file_name))) return result; \
    return REAL(call)(__VA_ARGS__);
#define PATH(path) (is_watched(path) ? last_part(path) : NULL)

int fsync(int fd) { CALL(SYNC, GROWS, fsync, -1, name_of(fd), fd) }
int fdatasync(int fd) { CALL(SYNC, GROWS, fdatasync, -1, name_of(fd), fd) }
int ftruncate(int fd, off_t length) { CALL(TRUNCATE, GROWS, ftruncate, -1, name_of(fd), fd, length) }
int ftruncate64(int fd, off64_t length) { CALL(TRUNCATE, GROWS, ftruncate64, -1, name_of(fd), fd, length) }
int fallocate(int fd, int mode, off_t at, off_t length) { CALL(TRUNCATE, GROWS, fallocate, -1, name_of(fd), fd, mode, at, length) }
int posix_fallocate(int fd, off_t at, off_t length) { CALL(TRUNCATE, GROWS, posix_fallocate, errno, name_of(fd), fd, at, length) }
int unlink(const char *path) { CALL(NAME, CHANGES, unlink, -1, PATH(path), path) }
int unlinkat(int at, const char *path, int flags) { CALL(NAME, CHANGES, unlinkat, -1, PATH(path), at, path, flags) }
int rename(const char *from, const char *to) { CALL(NAME, GROWS, rename, -1, PATH(to), from, to) }
int linkat(int a, const char *from, int b, const char *to, int flags) { CALL(NAME, GROWS, linkat, -1, PATH(to), a, from, b, to, flags) }
int mkdir(const char *path, mode_t mode) { CALL(NAME, GROWS, mkdir, -1, PATH(path), path, mode) }
