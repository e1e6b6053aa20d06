//! What a request is answered.

use crate::exporter::{CONTENT_TYPE, Exporter};
use hyper::{
    Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE as TYPE, HeaderValue},
};

/// Answers one request. The body is not read.
pub(crate) fn answer<B>(request: &Request<B>, exporter: &Exporter) -> Response<String> {
    let (reads, path) = (matches!(*request.method(), Method::GET | Method::HEAD), request.uri().path());
    match path {
        "/metrics" | "/healthz" if !reads => {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
        "/metrics" => metrics(exporter),
        "/healthz" => plain(StatusCode::OK, "ok\n"),
        _ => plain(StatusCode::NOT_FOUND, "nothing is here; there are /metrics and /healthz\n"),
    }
}

fn metrics(exporter: &Exporter) -> Response<String> {
    match exporter.render() {
        Ok(text) => with_type(StatusCode::OK, text, CONTENT_TYPE),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written\n"),
    }
}

fn plain(status: StatusCode, text: &str) -> Response<String> {
    with_type(status, text.into(), "text/plain; charset=utf-8")
}

fn with_type(status: StatusCode, body: String, content_type: &'static str) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
