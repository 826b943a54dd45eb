"""What a gRPC call meets before its message is read, and after its answer."""

import threading

import grpc

from covseg_tf.serving.errors import InvalidRequest, ServingError
from covseg_tf.serving.server_metrics import ServerMetrics
from covseg_tf.serving.server_options import ServerOptions

_METHODS = {
    "Predict": "predict",
    "GetModelMetadata": "metadata",
    "GetModelStatus": "status",
}


class GrpcGate(grpc.ServerInterceptor):
    """Asks for the token, cuts a call whose message does not come, counts it, and
    tells its errors as gRPC statuses.

    gRPC reads the message of a unary call before it runs the handler, and a
    thread waits for it without an end. A handler of a stream runs at once and
    reads when it likes; to the caller both are the same. So every handler
    becomes one of a stream here: a call without the token is refused unread,
    and the wait for the message of another ends after `request_timeout`.
    """

    def __init__(self, options: ServerOptions, metrics: ServerMetrics):
        self._options, self._metrics = options, metrics

    def intercept_service(self, continuation, handler_call_details):
        """Returns the handler of a call, wrapped."""
        sent = dict(handler_call_details.invocation_metadata).get("authorization", "")
        method = _METHODS.get(handler_call_details.method.rpartition("/")[2])
        handler = continuation(handler_call_details)
        coders = handler and (handler.request_deserializer, handler.response_serializer)

        def answer(messages, context):
            try:
                with self._metrics.observed("grpc", method or "malformed") as call:
                    self._options.check_token(str(sent))
                    if handler is None or method is None:
                        raise ServingError("Method not implemented!", "UNIMPLEMENTED")
                    message = self._first(messages, context)
                    call["model"] = message.model_spec.name
                    return handler.unary_unary(message, context)
            except ServingError as error:
                return context.abort(getattr(grpc.StatusCode, error.code), str(error))

        return grpc.stream_unary_rpc_method_handler(answer, *(coders or ()))

    def _first(self, messages, context):
        timer = threading.Timer(self._options.request_timeout, context.cancel)
        timer.daemon = True
        timer.start()
        try:
            message = next(messages, None)
        finally:
            timer.cancel()
        if message is None:
            raise InvalidRequest("No message came.")
        return message
