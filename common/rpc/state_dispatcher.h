#pragma once

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/eventlog/event_sourced.h"
#include "common/rpc/dispatcher.h"

namespace berth::rpc {

// The dispatcher in front of a service's State: refusals go to its log, and what most methods are
// (a command that State decides, a question to it, a watch of one of its topics) is added in a
// line.
template <typename State>
class StateDispatcher : public Dispatcher {
 public:
  // What is passed in outlives the dispatcher.
  StateDispatcher(const google::protobuf::ServiceDescriptor* service, EventSourced<State>* state,
                  AccessView* view, Executor* executor, const Clock* clock)
      : Dispatcher(service, view, executor, clock,
                   [state](CommandOrigin origin, absl::Status refusal,
                           std::function<void(absl::Status)> done) {
                     state->RecordRefusal(std::move(origin), std::move(refusal), std::move(done));
                   }),
        state_(state) {
    SetLeading([state] { return state->writer().Leading(); });
    state->WhenSteppedDown([this](const absl::Status& why) { EndStreams(why); });
  }

  const google::protobuf::Message* event() const override {
    return &State::Event::default_instance();
  }

  // Adds a command. State::Decide gets the request, and after it the caller or the context of the
  // decision where it wants one of them.
  template <typename Request, typename Response>
  void Command(Recorded recorded = Recorded::kAlways) {
    this->template Unary<Request, Response>(
        [this, recorded](const Call& call, const Request& request, auto reply) {
          state_->template Execute<Response>(
              call.origin, recorded,
              [request, caller = call.caller](const State& state, const DecisionContext& context) {
                if constexpr (requires { state.Decide(request, caller); }) {
                  return state.Decide(request, caller);
                } else if constexpr (requires { state.Decide(request, context); }) {
                  return state.Decide(request, context);
                } else {
                  return state.Decide(request);
                }
              },
              std::move(reply));
        });
  }

  // Adds a question. `answer` gets the state and the request, and after them the caller where it
  // wants to know, and returns the Response or why there is none.
  template <typename Request, typename Response, typename Answer>
  void Query(Answer answer) {
    this->template Unary<Request, Response>([this, answer](const Call& call, const Request& request,
                                                           auto reply) {
      state_->template Read<Response>(
          [request, answer, caller = call.caller](const State& state) -> absl::StatusOr<Response> {
            if constexpr (std::is_invocable_v<Answer, const State&, const Request&,
                                              const Caller&>) {
              return answer(state, request, caller);
            } else {
              return answer(state, request);
            }
          },
          std::move(reply));
    });
  }

  // Adds a watch of `topic`.
  template <typename Request>
  void Watch(std::string topic) {
    this->template Streaming<Request, watch::v1::WatchResponse>(
        [this, topic = std::move(topic)](const Call&, const Request& request,
                                         std::shared_ptr<Stream> stream) {
          ServeWatch(&state_->writer(), topic, request, std::move(stream));
        });
  }

 private:
  EventSourced<State>* const state_;
};

}  // namespace berth::rpc
