"""What a gRPC call meets before its message is read."""

import hmac
import threading

import grpc

from covseg_tf.serving.server_metrics import ServerMetrics
from covseg_tf.serving.server_options import ServerOptions

_METHODS = {
    "Predict": "predict",
    "GetModelMetadata": "metadata",
    "GetModelStatus": "status",
}


class GrpcGate(grpc.ServerInterceptor):
    """Asks for the token, and cuts a call whose message does not come.

    gRPC reads the message of a unary call before it runs the handler, and a
    thread waits for it without an end. A handler of a stream runs at once and
    reads when it likes; to the caller both are the same. So every handler
    becomes one of a stream here: a call without the token is refused unread,
    and the wait for the message of another ends after `request_timeout`.

    Args:
        options: The token and the time.
        metrics: Where refusals are counted.
    """

    def __init__(self, options: ServerOptions, metrics: ServerMetrics):
        self._token, self._limit = options.token, options.request_timeout
        self._metrics = metrics

    def intercept_service(self, continuation, handler_call_details):
        """Gives the handler of a call.

        Args:
            continuation: Finds it.
            handler_call_details: Method and metadata of the call.
        """
        if not self._is_authorized(handler_call_details.invocation_metadata):
            method = handler_call_details.method.rpartition("/")[2]
            method = _METHODS.get(method, "malformed")
            self._metrics.observe("unknown", method, "grpc", "UNAUTHENTICATED", 0.0)
            return grpc.stream_unary_rpc_method_handler(_refuse)
        handler = continuation(handler_call_details)
        return handler and self._with_limit(handler)

    def _is_authorized(self, metadata):
        if not self._token:
            return True
        sent = dict(metadata).get("authorization", "")
        wanted = f"Bearer {self._token}".encode()
        return hmac.compare_digest(str(sent).encode(), wanted)

    def _with_limit(self, handler):
        def answer(messages, context):
            timer = threading.Timer(self._limit, context.cancel)
            timer.daemon = True
            timer.start()
            try:
                message = next(messages, None)
            finally:
                timer.cancel()
            if message is None:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "No message came.")
            return handler.unary_unary(message, context)

        return grpc.stream_unary_rpc_method_handler(
            answer, handler.request_deserializer, handler.response_serializer
        )


def _refuse(messages, context):
    context.abort(
        grpc.StatusCode.UNAUTHENTICATED,
        "Send the server's token as: authorization: Bearer TOKEN",
    )
