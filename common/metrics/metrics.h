#pragma once

#include <prometheus/labels.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/sync/mutex.h"

namespace berth {

// The numbers of one scrape. Samples of one family may come from several places.
class MetricsPage {
 public:
  // `name` ends in _total; the value only grows.
  void Counter(const std::string& name, const std::string& help, const prometheus::Labels& labels,
               double value);
  void Gauge(const std::string& name, const std::string& help, const prometheus::Labels& labels,
             double value);
  void Add(prometheus::MetricFamily family);

  // Leaves out what a family has beyond `series_max` and returns how many series those were.
  size_t Cut(size_t series_max);

  // In Prometheus' text format, 0.0.4, by name.
  std::string Text() const;

 private:
  void Sample(const std::string& name, const std::string& help, prometheus::MetricType type,
              const prometheus::Labels& labels, double value);

  std::map<std::string, prometheus::MetricFamily> families_;
};

// What a process tells of itself: numbers, and whether it serves. Whoever counts as things happen
// uses the registry; what is known anyway is asked for at each scrape, which costs nothing between
// scrapes.
//
// Labels are words of a bounded set: services, methods, codes, phases, reasons. Never an id of an
// instance, a request or a person, never a name of an org, app or host. A family that grows beyond
// kSeriesPerFamilyMax all the same is cut, and the page says so.
//
// Safe from any thread. Outlives what is registered with it.
class Metrics {
 public:
  static constexpr size_t kSeriesPerFamilyMax = 1'000;

  using Source = std::function<void(MetricsPage*)>;
  using ReadyCheck = std::function<absl::Status()>;

  // Keeps a source or check in use; with its end nothing calls it any more.
  class Registration {
   public:
    Registration() = default;
    explicit Registration(std::function<void()> remove) : remove_(std::move(remove)) {}
    ~Registration() { Remove(); }
    Registration(Registration&& other) noexcept : remove_(std::exchange(other.remove_, nullptr)) {}
    Registration& operator=(Registration&& other) noexcept {
      Remove();
      remove_ = std::exchange(other.remove_, nullptr);
      return *this;
    }

   private:
    void Remove() {
      if (remove_ != nullptr) std::exchange(remove_, nullptr)();
    }

    std::function<void()> remove_;
  };

  // `process` is "server", "agent", "edge", …
  explicit Metrics(absl::string_view process);
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  prometheus::Registry& registry() { return registry_; }

  // Asked at each scrape, one after another.
  [[nodiscard]] Registration AddSource(Source source);

  // Asked whenever it matters whether the process serves.
  [[nodiscard]] Registration AddReadyCheck(ReadyCheck check);

  // The page of a scrape.
  std::string Text();

  // OK where every check is, and there is one; else kUnavailable with what every other one says.
  absl::Status Ready();

 private:
  template <typename Function>
  struct Registered {
    Mutex mutex;  // Held while they are called.
    std::map<uint64_t, Function> functions ABSL_GUARDED_BY(mutex);
    uint64_t next ABSL_GUARDED_BY(mutex) = 0;
  };

  template <typename Function>
  static Registration AddTo(Registered<Function>* registered, Function function);

  const std::string process_;
  prometheus::Registry registry_;
  Registered<Source> sources_;
  Registered<ReadyCheck> checks_;
};

}  // namespace berth
