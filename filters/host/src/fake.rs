//! A host in the process, instead of the proxy, on native targets: scripted before a test, asked after it.
//!
//! One host a thread, as a VM has one thread. Start each test with [`reset`]:
//! ```
//! use doorward_host::{clock, fake};
//! fake::reset();
//! fake::with(|host| host.now_nanoseconds = 1_000_000_000);
//! assert_eq!(clock::now()?.as_secs(), 1);
//! # Ok::<(), doorward_host::HostError>(())
//! ```

use crate::LogLevel;
use crate::abi::{BufferType, MapType, MetricType, StreamType};
use crate::status::{HostError, check};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

thread_local! {
    static HOST: RefCell<FakeHost> = RefCell::default();
}

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const BAD_ARGUMENT: u32 = 2;
const CAS_MISMATCH: u32 = 8;

/// Forgets everything that the host of this thread was told and asked.
pub fn reset() {
    HOST.with_borrow_mut(|host| *host = FakeHost::default());
}

/// Scripts or inspects the host of this thread. No hostcall may be made inside.
pub fn with<T>(act: impl FnOnce(&mut FakeHost) -> T) -> T {
    HOST.with_borrow_mut(act)
}

/// A hostcall that changed something, as the host saw it. Reads are not recorded, nor are calls that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// Every field of this name was removed from the request.
    RemoveHeader(Vec<u8>),
    /// Every field of this name was replaced by one.
    SetHeader(Vec<u8>, Vec<u8>),
    /// One more field was added.
    AddHeader(Vec<u8>, Vec<u8>),
    /// Every field of this name was removed from the response.
    RemoveResponseHeader(Vec<u8>),
    /// Every field of the response of this name was replaced by one.
    SetResponseHeader(Vec<u8>, Vec<u8>),
    /// One more field was added to the response.
    AddResponseHeader(Vec<u8>, Vec<u8>),
    /// The whole body of the request was replaced.
    ReplaceRequestBody(Vec<u8>),
    /// The whole body of the response was replaced.
    ReplaceResponseBody(Vec<u8>),
    /// The request was answered.
    LocalReply {
        /// HTTP status code.
        status: u32,
        /// Response code details.
        details: Vec<u8>,
        /// Response header fields.
        headers: Vec<(Vec<u8>, Vec<u8>)>,
        /// Response body.
        body: Vec<u8>,
    },
    /// The request of this (effective) context was let on.
    ContinueRequest(u32),
    /// The response of this (effective) context was let on.
    ContinueResponse(u32),
    /// The effective context was set.
    SetEffectiveContext(u32),
    /// The tick period was set, in milliseconds.
    TickPeriod(u32),
    /// An HTTP call was started.
    HttpCall {
        /// The cluster's name.
        cluster: String,
        /// Header fields, pseudo-headers first.
        headers: Vec<(String, String)>,
        /// Request body.
        body: Vec<u8>,
        /// As the host was given it.
        timeout: Duration,
        /// What the call returned.
        token: u32,
    },
    /// A property was set.
    SetProperty(Vec<u8>, Vec<u8>),
    /// A foreign function was called, and answered.
    Foreign {
        /// Its name.
        name: String,
        /// What it was given.
        arguments: Vec<u8>,
    },
    /// A shared value was stored.
    SetSharedData(Vec<u8>, Vec<u8>),
    /// The log level was set.
    LogLevel(LogLevel),
}

type ForeignFunction = Rc<dyn Fn(&[u8]) -> Result<Vec<u8>, u32>>;
type Map = Vec<(Vec<u8>, Vec<u8>)>;

/// The state of the host of one thread.
#[derive(Default)]
#[non_exhaustive]
pub struct FakeHost {
    /// What was done, in order.
    pub calls: Vec<Call>,
    /// The wall clock, in nanoseconds since the epoch.
    pub now_nanoseconds: u64,
    /// The plugin's configuration; `None` outside `on_configure`.
    pub plugin_configuration: Option<Vec<u8>>,
    /// The body of the HTTP call's response.
    pub call_response_body: Vec<u8>,
    /// Attributes by path, segments joined by NUL.
    pub properties: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The context that headers and bodies belong to; the requests of different contexts are different.
    pub effective_context: u32,
    requests: BTreeMap<u32, Map>,
    responses: BTreeMap<u32, Map>,
    request_bodies: BTreeMap<u32, Vec<u8>>,
    response_bodies: BTreeMap<u32, Vec<u8>>,
    call_response_headers: Map,
    shared: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    foreign: BTreeMap<String, ForeignFunction>,
    metrics: Vec<Metric>,
    forced: BTreeMap<&'static str, u32>,
    made: RefCell<Vec<&'static str>>,
    last_token: u32,
    last_cas: u32,
}

struct Metric {
    name: String,
    kind: MetricType,
    values: Vec<u64>,
}

impl fmt::Debug for FakeHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeHost").field("calls", &self.calls).finish_non_exhaustive()
    }
}

impl FakeHost {
    /// Has every further hostcall of this name answer `status`, without effect; 0 lets it work again.
    pub fn force(&mut self, call: &'static str, status: u32) {
        self.forced.insert(call, status);
    }

    /// Sets the request header fields of the effective context.
    pub fn set_request_headers<N, V>(&mut self, fields: impl IntoIterator<Item = (N, V)>)
    where
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        self.requests.insert(self.effective_context, owned(fields));
    }

    /// The request header fields of the effective context, as changed by the filter.
    pub fn request_headers(&self) -> &[(Vec<u8>, Vec<u8>)] {
        self.requests.get(&self.effective_context).map_or(&[], Vec::as_slice)
    }

    /// Sets the response header fields of the effective context.
    pub fn set_response_headers<N, V>(&mut self, fields: impl IntoIterator<Item = (N, V)>)
    where
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        self.responses.insert(self.effective_context, owned(fields));
    }

    /// The response header fields of the effective context, as changed by the filter.
    pub fn response_headers(&self) -> &[(Vec<u8>, Vec<u8>)] {
        self.responses.get(&self.effective_context).map_or(&[], Vec::as_slice)
    }

    /// Buffers the request body of the effective context; without, the host has no such buffer.
    pub fn set_request_body(&mut self, body: impl Into<Vec<u8>>) {
        self.request_bodies.insert(self.effective_context, body.into());
    }

    /// The request body of the effective context, as changed by the filter.
    pub fn request_body(&self) -> Option<&[u8]> {
        self.request_bodies.get(&self.effective_context).map(Vec::as_slice)
    }

    /// Buffers the response body of the effective context; without, the host has no such buffer.
    pub fn set_response_body(&mut self, body: impl Into<Vec<u8>>) {
        self.response_bodies.insert(self.effective_context, body.into());
    }

    /// The response body of the effective context, as changed by the filter.
    pub fn response_body(&self) -> Option<&[u8]> {
        self.response_bodies.get(&self.effective_context).map(Vec::as_slice)
    }

    /// Sets the response that `on_http_call_response` is about to read.
    pub fn set_call_response<N, V>(&mut self, fields: impl IntoIterator<Item = (N, V)>, body: Vec<u8>)
    where
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        self.call_response_headers = owned(fields);
        self.call_response_body = body;
    }

    /// Gives the host a foreign function; its error is a status.
    pub fn set_foreign_function(
        &mut self,
        name: &str,
        function: impl Fn(&[u8]) -> Result<Vec<u8>, u32> + 'static,
    ) {
        self.foreign.insert(name.to_owned(), Rc::new(function));
    }

    /// What the metric of this name holds: one number, or every number that a histogram was given.
    pub fn metric(&self, name: &str) -> &[u64] {
        self.metrics.iter().find(|metric| metric.name == name).map_or(&[], |metric| &metric.values)
    }

    /// Every hostcall since the last time this was asked, by its name in the ABI, logging left out.
    pub fn take_made(&mut self) -> Vec<&'static str> {
        self.made.take()
    }

    fn status(&self, call: &'static str) -> Result<(), HostError> {
        self.made.borrow_mut().push(call);
        check(call, self.forced.get(call).copied().unwrap_or(OK))
    }

    fn request(&mut self) -> &mut Map {
        self.requests.entry(self.effective_context).or_default()
    }

    fn response(&mut self) -> &mut Map {
        self.responses.entry(self.effective_context).or_default()
    }

    /// The map that a call may change.
    fn writable(&mut self, call: &'static str, map: MapType) -> Result<&mut Map, HostError> {
        self.status(call)?;
        match map {
            MapType::Request => Ok(self.request()),
            MapType::Response => Ok(self.response()),
            MapType::CallResponse => Err(error(call, BAD_ARGUMENT)),
        }
    }

    fn metric_mut(&mut self, call: &'static str, id: u32) -> Result<&mut Metric, HostError> {
        let index = usize::try_from(id).ok();
        match index.and_then(|index| self.metrics.get_mut(index)) {
            Some(metric) => Ok(metric),
            None => Err(error(call, NOT_FOUND)),
        }
    }
}

fn owned<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: impl IntoIterator<Item = (N, V)>) -> Map {
    fields.into_iter().map(|(name, value)| (name.as_ref().to_vec(), value.as_ref().to_vec())).collect()
}

fn error(call: &'static str, code: u32) -> HostError {
    check(call, code).err().unwrap_or(HostError::Malformed { call })
}

fn serialized(map: &Map) -> Vec<u8> {
    fn put(bytes: &mut Vec<u8>, length: usize) {
        bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    }
    let mut bytes = Vec::new();
    if map.is_empty() {
        return bytes;
    }
    put(&mut bytes, map.len());
    for (name, value) in map {
        put(&mut bytes, name.len());
        put(&mut bytes, value.len());
    }
    for text in map.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(text);
        bytes.push(0);
    }
    bytes
}

pub(crate) fn get_header_map_pairs(map: MapType) -> Result<Vec<u8>, HostError> {
    with(|host| {
        host.status("proxy_get_header_map_pairs")?;
        Ok(match map {
            MapType::Request => serialized(host.request()),
            MapType::Response => serialized(host.response()),
            MapType::CallResponse => serialized(&host.call_response_headers),
        })
    })
}

pub(crate) fn replace_header_map_value(map: MapType, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    with(|host| {
        let fields = host.writable("proxy_replace_header_map_value", map)?;
        // As Envoy: the first field keeps its place, further ones go.
        let mut first = true;
        fields.retain_mut(|(n, v)| {
            let same = n.eq_ignore_ascii_case(name);
            if same && first {
                first = false;
                *v = value.to_vec();
                return true;
            }
            !same
        });
        if first {
            fields.push((name.to_ascii_lowercase(), value.to_vec()));
        }
        let made = if map == MapType::Request { Call::SetHeader } else { Call::SetResponseHeader };
        host.calls.push(made(name.to_vec(), value.to_vec()));
        Ok(())
    })
}

pub(crate) fn add_header_map_value(map: MapType, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    with(|host| {
        let fields = host.writable("proxy_add_header_map_value", map)?;
        fields.push((name.to_ascii_lowercase(), value.to_vec()));
        let made = if map == MapType::Request { Call::AddHeader } else { Call::AddResponseHeader };
        host.calls.push(made(name.to_vec(), value.to_vec()));
        Ok(())
    })
}

pub(crate) fn remove_header_map_value(map: MapType, name: &[u8]) -> Result<(), HostError> {
    with(|host| {
        let fields = host.writable("proxy_remove_header_map_value", map)?;
        fields.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        let made = if map == MapType::Request { Call::RemoveHeader } else { Call::RemoveResponseHeader };
        host.calls.push(made(name.to_vec()));
        Ok(())
    })
}

pub(crate) fn send_local_response(
    status: u32,
    details: &[u8],
    body: &[u8],
    headers: &[u8],
) -> Result<(), HostError> {
    with(|host| {
        let call = "proxy_send_local_response";
        host.status(call)?;
        let fields = crate::pairs::parse(headers).map_err(|_| error(call, BAD_ARGUMENT))?;
        let headers = owned(fields.iter().map(|field| (field.name, field.value)));
        let (details, body) = (details.to_vec(), body.to_vec());
        host.calls.push(Call::LocalReply { status, details, headers, body });
        Ok(())
    })
}

pub(crate) fn get_buffer_bytes(
    buffer: BufferType,
    start: usize,
    max_size: usize,
) -> Result<Vec<u8>, HostError> {
    with(|host| {
        let call = "proxy_get_buffer_bytes";
        host.status(call)?;
        let context = host.effective_context;
        let bytes = match buffer {
            BufferType::HttpRequestBody => {
                host.request_bodies.get(&context).ok_or_else(|| error(call, NOT_FOUND))?
            }
            BufferType::HttpResponseBody => {
                host.response_bodies.get(&context).ok_or_else(|| error(call, NOT_FOUND))?
            }
            BufferType::HttpCallResponseBody => &host.call_response_body,
            BufferType::PluginConfiguration => {
                host.plugin_configuration.as_ref().ok_or_else(|| error(call, NOT_FOUND))?
            }
        };
        Ok(bytes.iter().skip(start).take(max_size).copied().collect())
    })
}

pub(crate) fn set_buffer_bytes(
    buffer: BufferType,
    start: usize,
    size: usize,
    bytes: &[u8],
) -> Result<(), HostError> {
    with(|host| {
        let call = "proxy_set_buffer_bytes";
        host.status(call)?;
        let context = host.effective_context;
        let (body, made) = match buffer {
            BufferType::HttpRequestBody => {
                (host.request_bodies.get_mut(&context), Call::ReplaceRequestBody(bytes.to_vec()))
            }
            BufferType::HttpResponseBody => {
                (host.response_bodies.get_mut(&context), Call::ReplaceResponseBody(bytes.to_vec()))
            }
            BufferType::HttpCallResponseBody | BufferType::PluginConfiguration => {
                return Err(error(call, BAD_ARGUMENT));
            }
        };
        let body = body.ok_or_else(|| error(call, NOT_FOUND))?;
        // Envoy replaces all, or else only puts bytes in front or behind, which no filter of ours does.
        if start != 0 || size == 0 || size < body.len() {
            return Err(error(call, BAD_ARGUMENT));
        }
        *body = bytes.to_vec();
        host.calls.push(made);
        Ok(())
    })
}

pub(crate) fn get_current_time_nanoseconds() -> Result<u64, HostError> {
    with(|host| {
        host.status("proxy_get_current_time_nanoseconds")?;
        Ok(host.now_nanoseconds)
    })
}

pub(crate) fn set_tick_period_milliseconds(period: u32) -> Result<(), HostError> {
    with(|host| {
        host.status("proxy_set_tick_period_milliseconds")?;
        host.calls.push(Call::TickPeriod(period));
        Ok(())
    })
}

pub(crate) fn continue_stream(stream: StreamType) -> Result<(), HostError> {
    with(|host| {
        host.status("proxy_continue_stream")?;
        match stream {
            StreamType::HttpRequest => host.calls.push(Call::ContinueRequest(host.effective_context)),
            StreamType::HttpResponse => host.calls.push(Call::ContinueResponse(host.effective_context)),
        }
        Ok(())
    })
}

pub(crate) fn set_effective_context(context: u32) -> Result<(), HostError> {
    with(|host| {
        host.status("proxy_set_effective_context")?;
        host.effective_context = context;
        host.calls.push(Call::SetEffectiveContext(context));
        Ok(())
    })
}

pub(crate) fn get_property(path: &[u8]) -> Result<Vec<u8>, HostError> {
    with(|host| {
        let call = "proxy_get_property";
        host.status(call)?;
        host.properties.get(path).cloned().ok_or_else(|| error(call, NOT_FOUND))
    })
}

pub(crate) fn set_property(path: &[u8], value: &[u8]) -> Result<(), HostError> {
    with(|host| {
        host.status("proxy_set_property")?;
        host.properties.insert(path.to_vec(), value.to_vec());
        host.calls.push(Call::SetProperty(path.to_vec(), value.to_vec()));
        Ok(())
    })
}

pub(crate) fn call_foreign_function(name: &[u8], arguments: &[u8]) -> Result<Vec<u8>, HostError> {
    let call = "proxy_call_foreign_function";
    let name = String::from_utf8_lossy(name).into_owned();
    let function = with(|host| {
        host.status(call)?;
        host.foreign.get(&name).cloned().ok_or_else(|| error(call, NOT_FOUND))
    })?;
    // Outside `with`, so that the function may script the host.
    let result = function(arguments).map_err(|code| error(call, code))?;
    with(|host| host.calls.push(Call::Foreign { name, arguments: arguments.to_vec() }));
    Ok(result)
}

pub(crate) fn define_metric(kind: MetricType, name: &[u8]) -> Result<u32, HostError> {
    with(|host| {
        let call = "proxy_define_metric";
        host.status(call)?;
        let name = String::from_utf8_lossy(name).into_owned();
        let known = host.metrics.iter().position(|metric| metric.kind == kind && metric.name == name);
        let index = known.unwrap_or_else(|| {
            let values = if kind == MetricType::Histogram { vec![] } else { vec![0] };
            host.metrics.push(Metric { name, kind, values });
            host.metrics.len().saturating_sub(1)
        });
        u32::try_from(index).map_err(|_| error(call, BAD_ARGUMENT))
    })
}

pub(crate) fn increment_metric(id: u32, offset: i64) -> Result<(), HostError> {
    with(|host| {
        let call = "proxy_increment_metric";
        host.status(call)?;
        let metric = host.metric_mut(call, id)?;
        let allowed = match metric.kind {
            MetricType::Counter => offset > 0,
            MetricType::Gauge => true,
            MetricType::Histogram => false,
        };
        match metric.values.first_mut() {
            Some(value) if allowed => *value = value.saturating_add_signed(offset),
            _ => return Err(error(call, BAD_ARGUMENT)),
        }
        Ok(())
    })
}

pub(crate) fn record_metric(id: u32, value: u64) -> Result<(), HostError> {
    with(|host| {
        let call = "proxy_record_metric";
        host.status(call)?;
        let metric = host.metric_mut(call, id)?;
        match (metric.kind, metric.values.first_mut()) {
            (MetricType::Counter, Some(sum)) => *sum = sum.saturating_add(value),
            (MetricType::Gauge, Some(last)) => *last = value,
            _ => metric.values.push(value),
        }
        Ok(())
    })
}

pub(crate) fn get_shared_data(key: &[u8]) -> Result<(Vec<u8>, u32), HostError> {
    with(|host| {
        let call = "proxy_get_shared_data";
        host.status(call)?;
        host.shared.get(key).cloned().ok_or_else(|| error(call, NOT_FOUND))
    })
}

pub(crate) fn set_shared_data(key: &[u8], value: &[u8], cas: u32) -> Result<(), HostError> {
    with(|host| {
        let call = "proxy_set_shared_data";
        host.status(call)?;
        // As proxy-wasm-cpp-host: a key that is not there never mismatches.
        if cas != 0 && host.shared.get(key).is_some_and(|(_, current)| *current != cas) {
            return Err(error(call, CAS_MISMATCH));
        }
        host.last_cas = host.last_cas.saturating_add(1);
        host.shared.insert(key.to_vec(), (value.to_vec(), host.last_cas));
        host.calls.push(Call::SetSharedData(key.to_vec(), value.to_vec()));
        Ok(())
    })
}

pub(crate) fn http_call(
    cluster: &str,
    headers: Vec<(&str, &str)>,
    body: &[u8],
    timeout: Duration,
) -> Result<u32, HostError> {
    with(|host| {
        host.status("proxy_http_call")?;
        host.last_token = host.last_token.saturating_add(1);
        host.calls.push(Call::HttpCall {
            cluster: cluster.to_owned(),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: body.to_vec(),
            timeout,
            token: host.last_token,
        });
        Ok(host.last_token)
    })
}

pub(crate) fn set_log_level(level: LogLevel) {
    with(|host| host.calls.push(Call::LogLevel(level)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::apply;
    use doorward::http::HeaderMutation;

    #[test]
    fn headers_change_as_in_envoy() {
        reset();
        with(|host| {
            host.set_request_headers([("a", "1"), ("X-User", "forged"), ("b", "2"), ("x-user", "forged")]);
        });
        apply(&[
            HeaderMutation::Set(b"x-user"[..].into(), b"alice"[..].into()),
            HeaderMutation::Append(b"B"[..].into(), b"3"[..].into()),
            HeaderMutation::Remove(b"A"[..].into()),
        ])
        .unwrap();
        let expected = [("X-User", "alice"), ("b", "2"), ("b", "3")];
        with(|host| assert_eq!(host.request_headers(), owned(expected)));
    }

    #[test]
    fn each_context_has_its_request() {
        reset();
        with(|host| {
            host.effective_context = 2;
            host.set_request_headers([(":path", "/two")]);
            host.effective_context = 3;
            assert_eq!(host.request_headers(), []);
        });
        crate::stream::set_effective_context(2).unwrap();
        let headers = crate::headers::RequestHeaders::read().unwrap();
        assert_eq!(headers.fields().unwrap()[0].value, b"/two");
    }
}
