#pragma once

// The test every driver passes: CheckDriverContract, called from a TEST_CASE of its own.

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "agent/runtime/driver.h"
#include "common/executor/thread_executor.h"
#include "common/sync/mutex.h"
#include "common/sync/notification.h"
#include "common/testing/printers.h"

namespace berth::testing {

// A driver with an empty host, and specs for it. Made anew for each section.
class DriverUnderTest {
 public:
  virtual ~DriverUnderTest() = default;

  virtual Driver& driver() = 0;

  // An image that is there or can be pulled, and one that cannot.
  virtual std::string image() = 0;
  virtual std::string missing_image() = 0;

  // Makes one more local image.
  virtual void MakeImage() = 0;

  // An instance that prints the lines and then runs until it is asked to end.
  virtual InstanceSpec RunsUntilStopped(const std::string& instance_id,
                                        const std::vector<std::string>& lines) = 0;
  // One that prints a line "last words" and exits at once.
  virtual InstanceSpec ExitsWith(const std::string& instance_id, int exit_code) = 0;
  // One that does not end when asked.
  virtual InstanceSpec IgnoresStop(const std::string& instance_id) = 0;
};

inline constexpr size_t kExecPieceBytesMax = 1000;

// What a command printed, up to its end.
struct ExecPrinted {
  std::string output;
  std::string error;
};
inline ExecPrinted ReadToEnd(ExecStream* command) {
  ExecPrinted printed;
  while (const auto piece = command->Read(kExecPieceBytesMax)) {
    (piece->source == LogLine::Source::kError ? printed.error : printed.output) += piece->data;
  }
  return printed;
}

// Collects what WatchEvents tells, on a thread of its own.
class EventListener {
 public:
  explicit EventListener(Driver& driver) : thread_("events") {
    thread_.Post([this, &driver] {
      const absl::Status status =
          driver.WatchEvents(stop_.get_token(), {.on_watching = [this] { watching_.Notify(); },
                                                 .on_exit =
                                                     [this](const InstanceExit& exit) {
                                                       MutexLock lock(&mutex_);
                                                       exits_.push_back(exit);
                                                     },
                                                 .on_images_changed =
                                                     [this] {
                                                       MutexLock lock(&mutex_);
                                                       images_changed_ = true;
                                                     }});
      MutexLock lock(&mutex_);
      result_ = status;
      ended_ = true;
    });
    watching_.WaitForNotificationWithTimeout(kWaitMax);
  }

  ~EventListener() { (void)Stop(); }

  bool watching() const { return watching_.HasBeenNotified(); }

  // Whether the exit of this attempt was told, if need be after waiting for it.
  bool AwaitExit(const InstanceHandle& handle) {
    MutexLock lock(&mutex_);
    auto told = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      return std::any_of(exits_.begin(), exits_.end(),
                         [&](const InstanceExit& exit) { return exit.handle == handle; });
    };
    return mutex_.AwaitWithTimeout(told, kWaitMax);
  }

  // Whether it was told that images changed, if need be after waiting for it.
  bool AwaitImages() {
    MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(
        [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return images_changed_; }, kWaitMax);
  }

  // What WatchEvents returned once it was asked to stop.
  absl::Status Stop() {
    stop_.request_stop();
    return Result();
  }

  // What WatchEvents returned by itself.
  absl::Status Result() {
    MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout([this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return ended_; }, kWaitMax);
    return result_;
  }

 private:
  static constexpr absl::Duration kWaitMax = absl::Seconds(30);

  std::stop_source stop_;
  Notification watching_;
  Mutex mutex_;
  std::vector<InstanceExit> exits_ ABSL_GUARDED_BY(mutex_);
  bool images_changed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status result_ ABSL_GUARDED_BY(mutex_) = absl::UnknownError("WatchEvents did not return");
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  ThreadExecutor thread_;
};

inline InstancePhase PhaseOf(Driver& driver, const InstanceHandle& handle) {
  const absl::StatusOr<InstanceStatus> status = driver.Inspect(handle);
  REQUIRE(status.status() == absl::OkStatus());
  return status->phase;
}

inline InstanceHandle MustStart(Driver& driver, const InstanceSpec& spec) {
  const absl::StatusOr<InstanceHandle> handle = driver.Start(spec);
  REQUIRE(handle.status() == absl::OkStatus());
  return *handle;
}

inline void CheckDriverContract(DriverUnderTest& under_test) {
  Driver& driver = under_test.driver();

  SECTION("an image that is there is ensured again and again") {
    CHECK(driver.EnsureImage({.image = under_test.image()}) == absl::OkStatus());
    CHECK(driver.EnsureImage({.image = under_test.image()}) == absl::OkStatus());
  }
  SECTION("an image that does not exist is not found, by its name") {
    const absl::Status status = driver.EnsureImage({.image = under_test.missing_image()});
    CHECK(status.code() == absl::StatusCode::kNotFound);
    CHECK(std::string(status.message()).find(under_test.missing_image()) != std::string::npos);
  }
  SECTION("an image of this host is never pulled, whatever is asked for") {
    const auto pull = GENERATE(ImageRequest::Pull::kMissing, ImageRequest::Pull::kAlways);
    const absl::Status status =
        driver.EnsureImage({.image = "localhost/no-such-image:1", .pull = pull});
    CHECK(status.code() == absl::StatusCode::kNotFound);
  }
  SECTION("an image that is never to be pulled is found only where it is there") {
    REQUIRE(driver.EnsureImage({.image = under_test.image()}) == absl::OkStatus());
    constexpr auto kNever = ImageRequest::Pull::kNever;
    CHECK(driver.EnsureImage({.image = under_test.image(), .pull = kNever}) == absl::OkStatus());
    CHECK(driver.EnsureImage({.image = under_test.missing_image(), .pull = kNever}).code() ==
          absl::StatusCode::kNotFound);
  }
  SECTION("an unknown handle is gone, and stopping and destroying it succeeds") {
    const InstanceHandle unknown{std::string(64, 'a')};
    CHECK(PhaseOf(driver, unknown) == InstancePhase::kGone);
    CHECK(driver.Stop(unknown, absl::Seconds(1)) == absl::OkStatus());
    CHECK(driver.Destroy(unknown) == absl::OkStatus());
    CHECK(driver.TailLog(unknown, 10).status().code() == absl::StatusCode::kNotFound);
    CHECK(driver.List()->empty());
  }
  REQUIRE(driver.EnsureImage({.image = under_test.image()}) == absl::OkStatus());

  SECTION("starting without the image is not found") {
    InstanceSpec spec = under_test.RunsUntilStopped("orphan", {});
    spec.image = under_test.missing_image();
    CHECK(driver.Start(spec).status().code() == absl::StatusCode::kNotFound);
  }
  SECTION("an instance runs, is found again, ends when asked, and leaves nothing") {
    InstanceSpec spec = under_test.RunsUntilStopped("web-1", {});
    spec.labels = {{"release", "7"}};
    const InstanceHandle handle = MustStart(driver, spec);
    const InstanceStatus running = *driver.Inspect(handle);
    CHECK(running.phase == InstancePhase::kRunning);
    CHECK(running.started_at.has_value());
    CHECK(running.pid.has_value());
    CHECK_FALSE(running.exit_code.has_value());

    const std::vector<InstanceRecord> records = *driver.List();
    REQUIRE(records.size() == 1);
    CHECK(records[0].handle == handle);
    CHECK(records[0].instance_id == "web-1");
    CHECK(records[0].attempt == 1);
    CHECK(records[0].labels.at("release") == "7");
    CHECK(records[0].status.phase == InstancePhase::kRunning);

    CHECK(driver.Stop(handle, absl::Seconds(10)) == absl::OkStatus());
    CHECK(driver.Stop(handle, absl::Seconds(10)) == absl::OkStatus());
    const InstanceStatus exited = *driver.Inspect(handle);
    CHECK(exited.phase == InstancePhase::kExited);
    CHECK(exited.exited_at.has_value());
    CHECK(exited.exit_code == 0);
    CHECK_FALSE(exited.oom_killed);
    CHECK_FALSE(exited.pid.has_value());
    CHECK(driver.List()->size() == 1);

    CHECK(driver.Destroy(handle) == absl::OkStatus());
    CHECK(driver.Destroy(handle) == absl::OkStatus());
    CHECK(PhaseOf(driver, handle) == InstancePhase::kGone);
    CHECK(driver.List()->empty());
  }
  SECTION("the same attempt is started once, whatever became of it") {
    const InstanceSpec spec = under_test.RunsUntilStopped("web-1", {});
    const InstanceHandle handle = MustStart(driver, spec);
    const absl::Time started_at = *driver.Inspect(handle)->started_at;
    CHECK(MustStart(driver, spec) == handle);
    CHECK(driver.Inspect(handle)->started_at == started_at);
    CHECK(driver.Stop(handle, absl::Seconds(10)) == absl::OkStatus());
    CHECK(MustStart(driver, spec) == handle);
    CHECK(PhaseOf(driver, handle) == InstancePhase::kExited);
  }
  SECTION("a newer attempt takes the place of the older one, and an older one is refused") {
    InstanceSpec spec = under_test.RunsUntilStopped("web-1", {});
    const InstanceHandle first = MustStart(driver, spec);
    spec.attempt = 2;
    const InstanceHandle second = MustStart(driver, spec);
    CHECK_FALSE(first == second);
    CHECK(PhaseOf(driver, first) == InstancePhase::kGone);
    CHECK(PhaseOf(driver, second) == InstancePhase::kRunning);
    CHECK(driver.List()->size() == 1);
    spec.attempt = 1;
    CHECK(driver.Start(spec).status().code() == absl::StatusCode::kAborted);
    CHECK(PhaseOf(driver, second) == InstancePhase::kRunning);
  }
  SECTION("an exit is told with its code, and its last words are kept") {
    EventListener listener(driver);
    REQUIRE(listener.watching());
    const InstanceHandle handle = MustStart(driver, under_test.ExitsWith("job-1", 7));
    REQUIRE(listener.AwaitExit(handle));
    const InstanceStatus status = *driver.Inspect(handle);
    CHECK(status.phase == InstancePhase::kExited);
    CHECK(status.exit_code == 7);
    CHECK(*driver.TailLog(handle, 10) == std::vector<std::string>{"last words"});
    CHECK(listener.Stop() == absl::OkStatus());
  }
  SECTION("an instance that does not end when asked is ended after its grace") {
    const InstanceHandle handle = MustStart(driver, under_test.IgnoresStop("web-1"));
    CHECK(driver.Stop(handle, absl::Seconds(1)) == absl::OkStatus());
    const InstanceStatus status = *driver.Inspect(handle);
    CHECK(status.phase == InstancePhase::kExited);
    CHECK(status.exit_code == 137);
  }
  SECTION("a new image is told of, once the images are watched") {
    EventListener listener(driver);
    REQUIRE(listener.watching());
    under_test.MakeImage();
    CHECK(listener.AwaitImages());
    CHECK(listener.Stop() == absl::OkStatus());
  }
  SECTION("destroying ends what runs, and its exit is told") {
    EventListener listener(driver);
    REQUIRE(listener.watching());
    const InstanceHandle handle = MustStart(driver, under_test.IgnoresStop("web-1"));
    CHECK(driver.Destroy(handle) == absl::OkStatus());
    CHECK(PhaseOf(driver, handle) == InstancePhase::kGone);
    CHECK(listener.AwaitExit(handle));
  }
  SECTION("a log is given from its tail and followed until it ends") {
    const InstanceHandle handle =
        MustStart(driver, under_test.RunsUntilStopped("web-1", {"one", "two", "three"}));
    std::vector<std::string> followed;
    const absl::Status status = driver.FollowLog(handle, {.tail_lines_max = 10, .follow = true},
                                                 std::stop_token(), [&](const LogLine& line) {
                                                   followed.push_back(line.text);
                                                   return followed.size() < 3;
                                                 });
    CHECK(status == absl::OkStatus());
    CHECK(followed == std::vector<std::string>{"one", "two", "three"});
    CHECK(*driver.TailLog(handle, 2) == std::vector<std::string>{"two", "three"});

    CHECK(driver.Stop(handle, absl::Seconds(10)) == absl::OkStatus());
    followed.clear();
    CHECK(driver.FollowLog(handle, {.tail_lines_max = 1, .follow = true}, std::stop_token(),
                           [&](const LogLine& line) {
                             followed.push_back(line.text);
                             return true;
                           }) == absl::OkStatus());
    CHECK(followed == std::vector<std::string>{"three"});
  }
  SECTION("whoever follows a log can stop at once") {
    const InstanceHandle handle = MustStart(driver, under_test.RunsUntilStopped("web-1", {"one"}));
    std::stop_source stop;
    Notification first_line;
    Notification returned;
    absl::Status status = absl::UnknownError("not yet");
    ThreadExecutor thread("follow");
    thread.Post([&] {
      status = driver.FollowLog(handle, {.tail_lines_max = 10, .follow = true}, stop.get_token(),
                                [&](const LogLine&) {
                                  first_line.Notify();
                                  return true;
                                });
      returned.Notify();
    });
    CHECK(first_line.WaitForNotificationWithTimeout(absl::Seconds(30)));
    stop.request_stop();
    REQUIRE(returned.WaitForNotificationWithTimeout(absl::Seconds(30)));
    CHECK(status == absl::OkStatus());
  }
  SECTION("a command runs inside a running instance only") {
    const InstanceHandle handle = MustStart(driver, under_test.RunsUntilStopped("web-1", {}));
    const absl::StatusOr<ExecResult> result = driver.Exec(handle, {"true"}, absl::Seconds(20));
    REQUIRE(result.status() == absl::OkStatus());
    CHECK(result->exit_code == 0);
    CHECK(driver.Stop(handle, absl::Seconds(10)) == absl::OkStatus());
    CHECK(driver.Exec(handle, {"true"}, absl::Seconds(20)).status().code() ==
          absl::StatusCode::kFailedPrecondition);
    CHECK(driver.OpenExec(handle, {.command = {"true"}}).status().code() ==
          absl::StatusCode::kFailedPrecondition);
  }
  SECTION("a command's input and both of its outputs can be held") {
    const InstanceHandle handle = MustStart(driver, under_test.RunsUntilStopped("web-1", {}));
    const auto command = driver.OpenExec(
        handle, {.command = {"sh", "-c", "cat; echo problem >&2; exit 7"}, .input = true});
    REQUIRE(command.status() == absl::OkStatus());
    CHECK((*command)->Write("one "));
    CHECK((*command)->Write("two"));
    (*command)->EndInput();
    const ExecPrinted printed = ReadToEnd(command->get());
    CHECK(printed.output == "one two");
    CHECK(printed.error == "problem\n");
    CHECK((*command)->ExitCode() == 7);
  }
  SECTION("a command without input reads its end") {
    const InstanceHandle handle = MustStart(driver, under_test.RunsUntilStopped("web-1", {}));
    const auto command = driver.OpenExec(handle, {.command = {"cat"}});
    REQUIRE(command.status() == absl::OkStatus());
    CHECK(ReadToEnd(command->get()).output == "");
    CHECK((*command)->ExitCode() == 0);
  }
  SECTION("a command's terminal has its size when it begins, and another one when it is told") {
    const InstanceHandle handle = MustStart(driver, under_test.RunsUntilStopped("web-1", {}));
    // Its first word: what comes only afterwards would come too late.
    const auto at_once =
        driver.OpenExec(handle, {.command = {"stty", "size"}, .terminal = TerminalSize{111, 33}});
    REQUIRE(at_once.status() == absl::OkStatus());
    CHECK(ReadToEnd(at_once->get()).output == "33 111\r\n");
    CHECK((*at_once)->ExitCode() == 0);

    const auto command =
        driver.OpenExec(handle, {.command = {"sh", "-c", "while read word; do stty size; done"},
                                 .terminal = TerminalSize{111, 33},
                                 .input = true});
    REQUIRE(command.status() == absl::OkStatus());
    (*command)->Resize({80, 25});
    std::string output;
    // Nobody says when the size has reached it, so it is asked again.
    while (output.find("25 80") == std::string::npos) {
      CHECK((*command)->Write("\n"));
      const auto piece = (*command)->Read(kExecPieceBytesMax);
      REQUIRE(piece.has_value());
      output += piece->data;
    }
    (*command)->EndInput();
    ReadToEnd(command->get());
    CHECK((*command)->ExitCode() == 0);
  }
  SECTION("a command can be killed, and is with whoever holds it") {
    const InstanceHandle handle = MustStart(driver, under_test.RunsUntilStopped("web-1", {}));
    const auto command = driver.OpenExec(
        handle, {.command = {"sh", "-c", "echo begun; exec sleep 1000"}, .input = true});
    REQUIRE(command.status() == absl::OkStatus());
    CHECK((*command)->Read(kExecPieceBytesMax).has_value());
    (*command)->Kill();
    CHECK_FALSE((*command)->Read(kExecPieceBytesMax).has_value());
    CHECK((*command)->ExitCode() == 128 + 9);
  }
}

}  // namespace berth::testing
