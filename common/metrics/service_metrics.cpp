#include "common/metrics/service_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>

#include <map>
#include <memory>

#include "absl/strings/str_cat.h"

namespace berth {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildHistogram;
using prometheus::Histogram;

// Seconds. Every latency that a target or an alert names is an edge, because a quantile is only as
// good as the edge beside it.
const Histogram::BucketBoundaries& CallSeconds() {
  static const auto* const boundaries = new Histogram::BucketBoundaries{
      .001, .0025, .005, .01, .025, .05, .1, .15, .25, .3, .4, .5, 1, 2, 5, 10, 30};
  return *boundaries;
}
const Histogram::BucketBoundaries& AppendSeconds() {
  static const auto* const boundaries = new Histogram::BucketBoundaries{
      .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5};
  return *boundaries;
}
const Histogram::BucketBoundaries& BatchRecords() {
  static const auto* const boundaries =
      new Histogram::BucketBoundaries{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000};
  return *boundaries;
}

std::string TypeOf(const rpc::Method& method) {
  if (method.descriptor->client_streaming()) return "bidi_stream";
  return method.descriptor->server_streaming() ? "server_stream" : "unary";
}

// As gRPC's own libraries spell them in metrics.
std::string CodeName(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return "OK";
    case absl::StatusCode::kCancelled:
      return "Canceled";
    case absl::StatusCode::kInvalidArgument:
      return "InvalidArgument";
    case absl::StatusCode::kDeadlineExceeded:
      return "DeadlineExceeded";
    case absl::StatusCode::kNotFound:
      return "NotFound";
    case absl::StatusCode::kAlreadyExists:
      return "AlreadyExists";
    case absl::StatusCode::kPermissionDenied:
      return "PermissionDenied";
    case absl::StatusCode::kResourceExhausted:
      return "ResourceExhausted";
    case absl::StatusCode::kFailedPrecondition:
      return "FailedPrecondition";
    case absl::StatusCode::kAborted:
      return "Aborted";
    case absl::StatusCode::kOutOfRange:
      return "OutOfRange";
    case absl::StatusCode::kUnimplemented:
      return "Unimplemented";
    case absl::StatusCode::kInternal:
      return "Internal";
    case absl::StatusCode::kUnavailable:
      return "Unavailable";
    case absl::StatusCode::kDataLoss:
      return "DataLoss";
    case absl::StatusCode::kUnauthenticated:
      return "Unauthenticated";
    default:
      return "Unknown";
  }
}

prometheus::Labels WithCode(prometheus::Labels labels, absl::StatusCode code) {
  labels["grpc_code"] = CodeName(code);
  return labels;
}

// What is counted of a method. The registry owns it.
struct MethodMetrics {
  prometheus::Labels labels;
  prometheus::Counter* started;
  prometheus::Counter* ok;
  prometheus::Histogram* seconds;  // Null for streams, which last as long as they are wanted.
  prometheus::Counter* refused_unrecorded;
};
using MetricsOfMethods = std::map<const rpc::Method*, MethodMetrics>;

void AddLog(MetricsPage* page, const prometheus::Labels& service,
            const LogWriter::Numbers& numbers) {
  page->Gauge("berth_log_serving", "Whether the service serves its log: 1 or 0.", service,
              numbers.serving ? 1 : 0);
  page->Gauge("berth_log_position", "Position of the newest durable record of the service's log.",
              service, static_cast<double>(numbers.position));
  page->Gauge("berth_log_cut_position",
              "Position of the newest record that was cut off the service's log; 0: of none.",
              service, static_cast<double>(numbers.cut_position));
  page->Gauge("berth_log_queue_depth", "Commands and reads that wait for the log's writer.",
              service, static_cast<double>(numbers.queued));
  page->Counter("berth_log_queue_refused_total",
                "Commands and reads refused because the writer's queue was full.", service,
                static_cast<double>(numbers.queue_refused));
}

void AddWatches(MetricsPage* page, const std::string& service,
                const std::map<std::string, WatchHub::KindNumbers>& kinds) {
  for (const auto& [kind, numbers] : kinds) {
    const prometheus::Labels labels = {{"service", service}, {"topic", kind}};
    page->Gauge("berth_watch_watchers", "Watchers that are connected, by kind of topic.", labels,
                static_cast<double>(numbers.watchers));
    page->Counter("berth_watch_deltas_total", "Deltas published, by kind of topic.", labels,
                  static_cast<double>(numbers.deltas));
    page->Counter("berth_watch_snapshots_total", "Snapshots sent, resyncs included.", labels,
                  static_cast<double>(numbers.snapshots));
    page->Counter("berth_watch_resyncs_total",
                  "Watchers that were too far behind and got a new snapshot.", labels,
                  static_cast<double>(numbers.resyncs));
  }
}

}  // namespace

ServiceMetrics::ServiceMetrics(Metrics* metrics, const std::string& service,
                               rpc::Dispatcher* dispatcher, LogWriter* writer)
    : service_(service) {
  MeasureCalls(metrics, dispatcher);
  MeasureLog(metrics, writer);
}

void ServiceMetrics::MeasureCalls(Metrics* metrics, rpc::Dispatcher* dispatcher) {
  auto& started = BuildCounter()
                      .Name("grpc_server_started_total")
                      .Help("Calls begun.")
                      .Register(metrics->registry());
  auto& handled = BuildCounter()
                      .Name("grpc_server_handled_total")
                      .Help("Calls ended, by outcome; refusals too.")
                      .Register(metrics->registry());
  auto& seconds = BuildHistogram()
                      .Name("grpc_server_handling_seconds")
                      .Help("How long unary calls took, refusals too.")
                      .Register(metrics->registry());
  auto& refused = BuildCounter()
                      .Name("berth_rpc_refused_unrecorded_total")
                      .Help("Calls refused that the log has no record of: nobody's name was known.")
                      .Register(metrics->registry());
  const std::string service = dispatcher->service().full_name();
  auto building = std::make_shared<MetricsOfMethods>();
  for (const rpc::Method& method : rpc::MethodsOf(dispatcher->service())) {
    const std::string type = TypeOf(method);
    const prometheus::Labels labels = {
        {"grpc_type", type}, {"grpc_service", service}, {"grpc_method", method.descriptor->name()}};
    (*building)[&method] = {labels, &started.Add(labels),
                            &handled.Add(WithCode(labels, absl::StatusCode::kOk)),
                            type == "unary" ? &seconds.Add(labels, CallSeconds()) : nullptr,
                            &refused.Add({{"grpc_service", service}})};
  }
  const std::shared_ptr<const MetricsOfMethods> methods = std::move(building);
  rpc::Dispatcher::Observer observer;
  observer.started = [methods](const rpc::Method& method) {
    methods->at(&method).started->Increment();
  };
  observer.finished = [methods, &handled](const rpc::Method& method, const absl::Status& status,
                                          absl::Duration took) {
    const MethodMetrics& of = methods->at(&method);
    if (of.seconds != nullptr) of.seconds->Observe(absl::ToDoubleSeconds(took));
    // Other outcomes are rare enough to be looked up.
    (status.ok() ? *of.ok : handled.Add(WithCode(of.labels, status.code()))).Increment();
  };
  observer.refused_unrecorded = [methods](const rpc::Method& method) {
    methods->at(&method).refused_unrecorded->Increment();
  };
  dispatcher->SetObserver(std::move(observer));
  streams_ = metrics->AddSource([methods, dispatcher](MetricsPage* page) {
    const std::map<const rpc::Method*, size_t> open = dispatcher->OpenStreams();
    for (const auto& [method, of] : *methods) {
      if (of.seconds != nullptr) continue;
      const auto count = open.find(method);
      page->Gauge("berth_rpc_streams_open", "Streams that are open.", of.labels,
                  count == open.end() ? 0 : static_cast<double>(count->second));
    }
  });
}

void ServiceMetrics::MeasureLog(Metrics* metrics, LogWriter* writer) {
  const prometheus::Labels labels = {{"service", service_}};
  auto& seconds = BuildHistogram()
                      .Name("berth_log_append_seconds")
                      .Help("How long a durable append of a batch took.")
                      .Register(metrics->registry())
                      .Add(labels, AppendSeconds());
  auto& records = BuildHistogram()
                      .Name("berth_log_batch_records")
                      .Help("Records of an append.")
                      .Register(metrics->registry())
                      .Add(labels, BatchRecords());
  auto& failures = BuildCounter()
                       .Name("berth_log_append_failures_total")
                       .Help("Appends that failed, after which the state was loaded again.")
                       .Register(metrics->registry())
                       .Add(labels);
  LogWriter::Observer observer;
  observer.appended = [&seconds, &records, &failures](size_t count, const absl::Status& status,
                                                      absl::Duration took) {
    seconds.Observe(absl::ToDoubleSeconds(took));
    records.Observe(static_cast<double>(count));
    if (!status.ok()) failures.Increment();
  };
  writer->SetObserver(std::move(observer));
  log_ = metrics->AddSource([this, writer, labels](MetricsPage* page) {
    AddLog(page, labels, writer->numbers());
    AddWatches(page, service_, writer->hub().numbers());
  });
  ready_ = metrics->AddReadyCheck([this, writer] {
    const LogWriter::Numbers numbers = writer->numbers();
    if (numbers.serving) return absl::OkStatus();
    return absl::UnavailableError(
        absl::StrCat(service_, numbers.standby ? " stands by" : " does not serve its log"));
  });
}

}  // namespace berth
