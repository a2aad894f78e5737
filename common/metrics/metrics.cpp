#include "common/metrics/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/metrics/process_metrics.h"

namespace berth {

void MetricsPage::Counter(const std::string& name, const std::string& help,
                          const prometheus::Labels& labels, double value) {
  Sample(name, help, prometheus::MetricType::Counter, labels, value);
}

void MetricsPage::Gauge(const std::string& name, const std::string& help,
                        const prometheus::Labels& labels, double value) {
  Sample(name, help, prometheus::MetricType::Gauge, labels, value);
}

void MetricsPage::Sample(const std::string& name, const std::string& help,
                         prometheus::MetricType type, const prometheus::Labels& labels,
                         double value) {
  prometheus::ClientMetric sample;
  for (const auto& [label, word] : labels) sample.label.push_back({label, word});
  sample.counter.value = value;
  sample.gauge.value = value;
  prometheus::MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  family.metric.push_back(std::move(sample));
  Add(std::move(family));
}

void MetricsPage::Add(prometheus::MetricFamily family) {
  auto [known, added] = families_.try_emplace(family.name, family);
  if (added) return;
  std::vector<prometheus::ClientMetric>& series = known->second.metric;
  series.insert(series.end(), std::make_move_iterator(family.metric.begin()),
                std::make_move_iterator(family.metric.end()));
}

size_t MetricsPage::Cut(size_t series_max) {
  size_t cut = 0;
  for (auto& [name, family] : families_) {
    if (family.metric.size() <= series_max) continue;
    // The same ones at each scrape.
    std::sort(family.metric.begin(), family.metric.end(),
              [](const auto& left, const auto& right) { return left.label < right.label; });
    cut += family.metric.size() - series_max;
    family.metric.resize(series_max);
  }
  return cut;
}

std::string MetricsPage::Text() const {
  std::vector<prometheus::MetricFamily> families;
  families.reserve(families_.size());
  for (const auto& [name, family] : families_) {
    if (!family.metric.empty()) families.push_back(family);
  }
  return prometheus::TextSerializer().Serialize(families);
}

Metrics::Metrics(absl::string_view process) : process_(process) {}

template <typename Function>
Metrics::Registration Metrics::AddTo(Registered<Function>* registered, Function function) {
  MutexLock lock(&registered->mutex);
  const uint64_t key = registered->next++;
  registered->functions.emplace(key, std::move(function));
  return Registration([registered, key] {
    MutexLock removing(&registered->mutex);
    registered->functions.erase(key);
  });
}

Metrics::Registration Metrics::AddSource(Source source) {
  return AddTo(&sources_, std::move(source));
}

Metrics::Registration Metrics::AddReadyCheck(ReadyCheck check) {
  return AddTo(&checks_, std::move(check));
}

std::string Metrics::Text() {
  MetricsPage page;
  page.Gauge("berth_build_info", "What this process is; always 1.",
             {{"version", BERTH_VERSION}, {"process", process_}}, 1);
  page.Gauge("berth_ready", "Whether the process serves, as /readyz says: 1 or 0.", {},
             Ready().ok() ? 1 : 0);
  AddProcessMetrics(&page);
  for (prometheus::MetricFamily& family : registry_.Collect()) page.Add(std::move(family));
  {
    MutexLock lock(&sources_.mutex);
    for (const auto& [key, source] : sources_.functions) source(&page);
  }
  page.Gauge("berth_metrics_series_cut",
             "Series left out of this page because their family has too many.", {},
             static_cast<double>(page.Cut(kSeriesPerFamilyMax)));
  return page.Text();
}

absl::Status Metrics::Ready() {
  std::vector<std::string> reasons;
  MutexLock lock(&checks_.mutex);
  for (const auto& [key, check] : checks_.functions) {
    const absl::Status status = check();
    if (!status.ok()) reasons.emplace_back(status.message());
  }
  if (checks_.functions.empty()) reasons.emplace_back("the process is starting");
  if (reasons.empty()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrJoin(reasons, "\n"));
}

}  // namespace berth
