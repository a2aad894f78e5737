#pragma once

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/eventlog/event_sourced.h"
#include "common/eventlog/logged_state.h"
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
  //
  // A request with the field `at` may be about a moment of the past (types.v1.Moment): then the
  // same question is put to the state of that time, on another thread, and `as_of` of the Response
  // says which that is.
  template <typename Request, typename Response, typename Answer>
  void Query(Answer answer) {
    Query<Request, Response>(answer, answer);
  }

  // The same, where what a service knows beside its state belongs to the answer: `answer_then`,
  // which answers about the past, goes without.
  template <typename Request, typename Response, typename Answer, typename AnswerThen>
  void Query(Answer answer, AnswerThen answer_then) {
    this->template Unary<Request, Response>([=, this](const Call& call, const Request& request,
                                                      auto reply) {
      if constexpr (requires { request.has_at(); }) {
        if (request.has_at()) {
          return this->template AskPast<Request, Response>(request, answer_then, std::move(reply));
        }
      }
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
  template <typename Request, typename Response, typename Answer>
  void AskPast(const Request& request, Answer answer,
               std::function<void(absl::StatusOr<Response>)> reply) {
    if (past() == nullptr) {
      return reply(absl::UnimplementedError("nobody here knows the past of this service"));
    }
    const auto then = std::make_shared<LoggedStateOf<State>>();
    past()(request.at(), then,
           [request, answer, then, reply](absl::StatusOr<types::v1::RecordReference> as_of) {
             if (!as_of.ok()) return reply(as_of.status());
             absl::StatusOr<Response> response = answer(then->state(), request);
             if (response.ok()) *response->mutable_as_of() = *std::move(as_of);
             reply(std::move(response));
           });
  }

  EventSourced<State>* const state_;
};

}  // namespace berth::rpc
