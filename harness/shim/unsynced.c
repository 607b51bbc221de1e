/* What a power cut would leave: an LD_PRELOAD shim for the unsynced-write tests.
 *
 * The page cache survives a killed process, so SIGKILL alone never shows a missing fsync. This shim
 * keeps, for every file below SUBROSA_UNSYNCED_DATA, a copy of its content as of its last fsync or
 * fdatasync below SUBROSA_UNSYNCED_SHADOW. After a kill the harness puts the copies in place of the
 * files: whatever was written and not synced is gone, files never synced do not exist.
 *
 * Generous on purpose: the names of files (create, rename, unlink) count as durable at once, and a
 * sync keeps the whole file. Strict on purpose: nothing else ever reaches the disk by itself.
 * Not seen: O_SYNC, msync, sync_file_range, io_uring; the programs under test use none of them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One copy at a time, so that a slow older copy never replaces a newer one. */
static pthread_mutex_t one_copy = PTHREAD_MUTEX_INITIALIZER;

/* The test would prove nothing if the shim failed silently. */
static void give_up(const char *what) {
    fprintf(stderr, "unsynced shim: %s: %s\n", what, strerror(errno));
    abort();
}

static void *next(const char *name) {
    void *symbol = dlsym(RTLD_NEXT, name);
    if (symbol == NULL) give_up(name);
    return symbol;
}

/* The shadow of a path below the data directory; 0 for every other path. */
static int shadow_of(const char *path, char shadow[PATH_MAX]) {
    const char *data = getenv("SUBROSA_UNSYNCED_DATA");
    const char *root = getenv("SUBROSA_UNSYNCED_SHADOW");
    if (data == NULL || root == NULL || path[0] != '/') return 0;
    size_t length = strlen(data);
    if (strncmp(path, data, length) != 0 || path[length] != '/') return 0;
    return snprintf(shadow, PATH_MAX, "%s%s", root, path + length) < PATH_MAX;
}

static void make_parents(char *path) {
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST) give_up(path);
        *at = '/';
    }
}

/* Copies what the file of a descriptor holds now over its shadow, all or nothing. */
static void keep(int fd) {
    char link[64], path[PATH_MAX], shadow[PATH_MAX], partial[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return;
    path[length] = '\0';
    struct stat meta;
    if (fstat(fd, &meta) != 0 || !S_ISREG(meta.st_mode) || meta.st_nlink == 0) return;
    if (!shadow_of(path, shadow)) return;
    make_parents(shadow);
    snprintf(partial, sizeof partial, "%s.partial", getenv("SUBROSA_UNSYNCED_SHADOW"));
    int to = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, meta.st_mode & 0777);
    if (to < 0) give_up(partial);
    /* Read through the same descriptor where possible: closing a second one would drop the
     * process's POSIX locks on a database. */
    int from = fd, opened = 0;
    if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY) {
        from = open(path, O_RDONLY | O_CLOEXEC);
        opened = 1;
        if (from < 0) give_up(path);
    }
    static char buffer[1 << 16];
    off_t at = 0;
    for (;;) {
        ssize_t got = pread(from, buffer, sizeof buffer, at);
        if (got < 0) give_up("pread");
        if (got == 0) break;
        if (write(to, buffer, (size_t)got) != got) give_up("write");
        at += got;
    }
    if (opened) close(from);
    close(to);
    int (*real_rename)(const char *, const char *) = next("rename");
    if (real_rename(partial, shadow) != 0) give_up("rename");
}

static int sync_with(const char *name, int fd) {
    int (*real)(int) = next(name);
    /* The real call is left out: what it promises is what the shadow holds, and a disk is slow. */
    if (fcntl(fd, F_GETFD) < 0) return real(fd);
    pthread_mutex_lock(&one_copy);
    keep(fd);
    pthread_mutex_unlock(&one_copy);
    return 0;
}

int fsync(int fd) { return sync_with("fsync", fd); }
int fdatasync(int fd) { return sync_with("fdatasync", fd); }

/* The absolute form of a path relative to a directory descriptor; 0 if it cannot be told. */
static int absolute(int directory, const char *path, char out[PATH_MAX]) {
    if (path[0] == '/') return snprintf(out, PATH_MAX, "%s", path) < PATH_MAX;
    char link[64], base[PATH_MAX];
    if (directory == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t length = readlink(link, base, sizeof base - 1);
    if (length < 0) return 0;
    base[length] = '\0';
    return snprintf(out, PATH_MAX, "%s/%s", base, path) < PATH_MAX;
}

static void forget(int directory, const char *path) {
    char full[PATH_MAX], shadow[PATH_MAX];
    int (*real)(const char *) = next("unlink");
    if (absolute(directory, path, full) && shadow_of(full, shadow)) real(shadow);
}

int unlink(const char *path) {
    int (*real)(const char *) = next("unlink");
    pthread_mutex_lock(&one_copy);
    int result = real(path);
    if (result == 0) forget(AT_FDCWD, path);
    pthread_mutex_unlock(&one_copy);
    return result;
}

int unlinkat(int directory, const char *path, int flags) {
    int (*real)(int, const char *, int) = next("unlinkat");
    pthread_mutex_lock(&one_copy);
    int result = real(directory, path, flags);
    if (result == 0 && (flags & AT_REMOVEDIR) == 0) forget(directory, path);
    pthread_mutex_unlock(&one_copy);
    return result;
}

/* A renamed file keeps what was synced of it; if nothing was, the new name is empty. */
static void move(int from_directory, const char *from, int to_directory, const char *to) {
    char full[PATH_MAX], old_shadow[PATH_MAX], new_shadow[PATH_MAX];
    int (*real)(const char *, const char *) = next("rename");
    int had = absolute(from_directory, from, full) && shadow_of(full, old_shadow);
    if (!absolute(to_directory, to, full) || !shadow_of(full, new_shadow)) return;
    make_parents(new_shadow);
    if (had && real(old_shadow, new_shadow) == 0) return;
    struct stat meta;
    if (stat(full, &meta) != 0 || !S_ISREG(meta.st_mode)) return;
    int empty = open(new_shadow, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (empty < 0) give_up(new_shadow);
    close(empty);
}

int rename(const char *from, const char *to) {
    int (*real)(const char *, const char *) = next("rename");
    pthread_mutex_lock(&one_copy);
    int result = real(from, to);
    if (result == 0) move(AT_FDCWD, from, AT_FDCWD, to);
    pthread_mutex_unlock(&one_copy);
    return result;
}

int renameat(int from_directory, const char *from, int to_directory, const char *to) {
    int (*real)(int, const char *, int, const char *) = next("renameat");
    pthread_mutex_lock(&one_copy);
    int result = real(from_directory, from, to_directory, to);
    if (result == 0) move(from_directory, from, to_directory, to);
    pthread_mutex_unlock(&one_copy);
    return result;
}
