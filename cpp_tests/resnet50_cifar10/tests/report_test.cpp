#include "bar_chart.hpp"
#include "report.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace harness;

namespace {

std::size_t occurrences(const std::string& text, const std::string& part) {
    std::size_t n = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) {
        ++n;
    }
    return n;
}

// Ten images of label 2; fp32 is right but on image 7, static differs on image 5.
RunResult ten_images(std::size_t classes) {
    RunResult run;
    run.cpu = "CPU <x>";
    run.classes = classes;
    for (const Mode mode : {Mode::fp32, Mode::static_int8}) {
        ModeResult r;
        r.mode = mode;
        r.images = 10;
        r.img_per_s = mode == Mode::fp32 ? 10 : 30;
        r.logits.assign(10 * classes, 0.0f);
        for (std::size_t i = 0; i < 10; ++i) {
            r.logits[i * classes + (i == 7 ? 1 : i == 5 && mode == Mode::static_int8 ? 0 : 2)] = 9.0f;
        }
        run.modes.push_back(r);
    }
    compare_with_fp32(run);
    return run;
}

Images ten_grey_images() {
    Images images;
    images.labels.assign(10, 2);
    images.pixels.assign(10 * kCifarImageBytes, 128);
    return images;
}

}  // namespace

TEST_CASE("the report is one page that loads nothing, with charts, figures and images") {
    const std::string html = html_report(ten_images(10), ten_grey_images());
    CHECK(occurrences(html, "http") == 0);
    CHECK(occurrences(html, "<script") == 0);
    CHECK(occurrences(html, "<svg") == 3);  // agreement, images a second, model file; the rest was not measured
    CHECK(occurrences(html, "data:image/png;base64,") == 10);
    CHECK(occurrences(html, "CPU &lt;x&gt;") == 1);
    CHECK(occurrences(html, "3.00 x") == 1);
    CHECK(html.find("</html>") != std::string::npos);
}

TEST_CASE("images on which the modes disagree come first, then wrong ones") {
    const std::string html = html_report(ten_images(10), ten_grey_images());
    const std::size_t five = html.find("<b>bird</b> (5)"), seven = html.find("<b>bird</b> (7)"), zero = html.find("<b>bird</b> (0)");
    REQUIRE(zero != std::string::npos);
    CHECK(five < seven);
    CHECK(seven < zero);
    CHECK(html.find("static: <span class=\"wrong\">airplane</span>") != std::string::npos);
    CHECK(html.find("fp32: <span class=\"right\">bird</span>") != std::string::npos);
}

TEST_CASE("classes other than CIFAR-10's are numbers, neither right nor wrong") {
    const std::string html = html_report(ten_images(1000), ten_grey_images());
    CHECK(occurrences(html, "class=\"wrong\"") == 0);
    CHECK(html.find("<span class=\"\">class 2</span>") != std::string::npos);
}

TEST_CASE("bars are as long as their values") {
    const std::string svg = bar_chart("a & b", {{"x", 50, "50 %", "red"}, {"y", 100, "100 %", "blue"}}, 0);
    CHECK(svg.find("a &amp; b") != std::string::npos);
    CHECK(svg.find("width=\"125.0\"") != std::string::npos);
    CHECK(svg.find("width=\"250.0\"") != std::string::npos);
    CHECK(bar_chart("t", {{"x", 50, "", "red"}}, 100).find("width=\"125.0\"") != std::string::npos);
    CHECK(bar_chart("t", {{"x", 0, "", "red"}}, 0).find("width=\"0.0\"") != std::string::npos);
}
