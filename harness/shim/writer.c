/* What the shim's test runs under the shim: files written and synced, written and not synced, renamed, removed. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int put(const char *name, const char *text, int sync) {
    int fd = open(name, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) < 0 || (sync && fsync(fd) != 0)) {
        perror(name);
        return 1;
    }
    return close(fd);
}

int main(int count, char **arguments) {
    if (count != 2 || chdir(arguments[1]) != 0) {
        return 2;
    }
    return put("deep/kept", "one", 1) || put("deep/kept", "two", 0) || put("never", "x", 0) || put("a", "moved", 1) ||
           rename("a", "b") || put("gone", "x", 1) || unlink("gone");
}
