// Runs the sample's program, each time in a process of its own.
#pragma once

#include "support/files.hpp"

#include <cstdlib>
#include <string>
#include <vector>

#include <sys/wait.h>

namespace test {

struct Outcome {
    int exit_status = -1;
    std::string out, err;
};

// Single quotes around a word of the shell.
inline std::string quoted(const std::string& word) {
    std::string text = "'";
    for (const char c : word) {
        text += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    return text + "'";
}

// The program with these arguments; its report goes to `folder`.
inline Outcome run_program(const TemporaryFolder& folder, const std::vector<std::string>& arguments) {
    std::string command = quoted(SAMPLE_PROGRAM) + " --report " + quoted(folder / "report.html");
    for (const std::string& argument : arguments) {
        command += " " + quoted(argument);
    }
    const std::string out = folder / "stdout", err = folder / "stderr";
    const int status = std::system((command + " >" + quoted(out) + " 2>" + quoted(err)).c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_text(out), read_text(err)};
}

// Likewise; it must go well.
inline Outcome run_well(const TemporaryFolder& folder, const std::vector<std::string>& arguments) {
    const Outcome outcome = run_program(folder, arguments);
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_status == 0);
    return outcome;
}

}  // namespace test
