// What the programs of this folder have in common: counted checks, a folder for files, child processes.
#pragma once

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>

// Checks that failed.
inline int& failures() {
    static int count = 0;
    return count;
}

// Tells a check that fails.
#define EXPECT(claim, ...)                                              \
    do {                                                                \
        if (!(claim)) {                                                 \
            ++failures();                                               \
            std::fprintf(stderr, "%s:%d: not so: %s: ", __FILE__, __LINE__, #claim); \
            std::fprintf(stderr, __VA_ARGS__);                          \
            std::fputc('\n', stderr);                                   \
        }                                                               \
    } while (false)

// A folder in memory where there is one, gone at the end.
class Folder {
public:
    Folder() {
        const bool in_memory = access("/dev/shm", W_OK) == 0;
        std::string pattern = (in_memory ? std::string("/dev/shm") : std::filesystem::temp_directory_path().string()) + "/rsquant-contract-XXXXXX";
        if (mkdtemp(pattern.data()) == nullptr) {
            std::perror(pattern.c_str());
            std::exit(1);
        }
        path_ = pattern;
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
        if (getpid() == maker_) {
            std::error_code ignored;
            std::filesystem::remove_all(path_, ignored);
        }
    }
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
    pid_t maker_ = getpid();
};

// Does `work` in a child process; gives what waitpid tells of it.
inline int status_in_a_child(const std::function<int()>& work) {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        alarm(120);
        _exit(work());
    }
    int status = 0;
    waitpid(child, &status, 0);
    return status;
}

inline bool ended_well(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }
