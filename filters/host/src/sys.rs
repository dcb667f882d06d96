//! The proxy-wasm imports, and the only unsafe code of the crate.
//!
//! Statuses are declared as `u32`: an enum would make a number that it does not list undefined behaviour. Every
//! function here is safe for any arguments: pointers and lengths come from slices, and out-parameters from locals.
#![allow(unsafe_code, reason = "the proxy-wasm ABI passes pointers; no other file may")]

use crate::abi::{BufferType, MapType, MetricType, StreamType};
use crate::status::{HostError, Status, check};
use std::ptr::null_mut;
use std::time::Duration;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_buffer_bytes(
        buffer: u32,
        start: usize,
        size: usize,
        data: *const u8,
        data_size: usize,
    ) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, value_size: usize) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        arguments: *const u8,
        arguments_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        cas: u32,
    ) -> u32;
}

/// Calls `import` with out-parameters for a buffer, and takes ownership of what the host put there.
fn returned(
    call: &'static str,
    import: impl FnOnce(*mut *mut u8, *mut usize) -> u32,
) -> Result<Vec<u8>, HostError> {
    let mut data: *mut u8 = null_mut();
    let mut size: usize = 0;
    let code = import(&raw mut data, &raw mut size);
    check(call, code)?;
    if data.is_null() || size == 0 {
        // Nothing was allocated: the allocator gives a dangling pointer for no bytes.
        return Ok(Vec::new());
    }
    // SAFETY: the host allocates what it returns with the module's exported `proxy_on_memory_allocate(size)`, the
    // SDK's: a boxed slice of `size` initialised bytes of the global allocator, that nobody else owns.
    Ok(unsafe { Vec::from_raw_parts(data, size, size) })
}

pub(crate) fn get_header_map_pairs(map: MapType) -> Result<Vec<u8>, HostError> {
    returned("proxy_get_header_map_pairs", |data, size| {
        // SAFETY: both pointers are to locals of `returned`, alive during the call.
        unsafe { proxy_get_header_map_pairs(map as u32, data, size) }
    })
}

pub(crate) fn replace_header_map_value(map: MapType, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    // SAFETY: pointers and lengths of live slices, which the host only reads.
    let code = unsafe {
        proxy_replace_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    };
    check("proxy_replace_header_map_value", code)
}

pub(crate) fn add_header_map_value(map: MapType, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    // SAFETY: pointers and lengths of live slices, which the host only reads.
    let code = unsafe {
        proxy_add_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    };
    check("proxy_add_header_map_value", code)
}

pub(crate) fn remove_header_map_value(map: MapType, name: &[u8]) -> Result<(), HostError> {
    // SAFETY: pointer and length of a live slice, which the host only reads.
    let code = unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) };
    check("proxy_remove_header_map_value", code)
}

pub(crate) fn send_local_response(
    status: u32,
    details: &[u8],
    body: &[u8],
    headers: &[u8],
) -> Result<(), HostError> {
    // SAFETY: pointers and lengths of live slices, which the host only reads. A grpc status of -1 is none.
    let code = unsafe {
        proxy_send_local_response(
            status,
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            -1,
        )
    };
    check("proxy_send_local_response", code)
}

pub(crate) fn get_buffer_bytes(
    buffer: BufferType,
    start: usize,
    max_size: usize,
) -> Result<Vec<u8>, HostError> {
    returned("proxy_get_buffer_bytes", |data, size| {
        // SAFETY: both pointers are to locals of `returned`, alive during the call.
        unsafe { proxy_get_buffer_bytes(buffer as u32, start, max_size, data, size) }
    })
}

pub(crate) fn set_buffer_bytes(
    buffer: BufferType,
    start: usize,
    size: usize,
    bytes: &[u8],
) -> Result<(), HostError> {
    // SAFETY: pointer and length of a live slice, which the host only reads.
    let code = unsafe { proxy_set_buffer_bytes(buffer as u32, start, size, bytes.as_ptr(), bytes.len()) };
    check("proxy_set_buffer_bytes", code)
}

pub(crate) fn get_current_time_nanoseconds() -> Result<u64, HostError> {
    let mut time: u64 = 0;
    // SAFETY: the pointer is to a local that is alive during the call.
    let code = unsafe { proxy_get_current_time_nanoseconds(&raw mut time) };
    check("proxy_get_current_time_nanoseconds", code)?;
    Ok(time)
}

pub(crate) fn set_tick_period_milliseconds(period: u32) -> Result<(), HostError> {
    // SAFETY: no pointers.
    let code = unsafe { proxy_set_tick_period_milliseconds(period) };
    check("proxy_set_tick_period_milliseconds", code)
}

pub(crate) fn continue_stream(stream: StreamType) -> Result<(), HostError> {
    // SAFETY: no pointers.
    let code = unsafe { proxy_continue_stream(stream as u32) };
    check("proxy_continue_stream", code)
}

pub(crate) fn set_effective_context(context: u32) -> Result<(), HostError> {
    // SAFETY: no pointers.
    let code = unsafe { proxy_set_effective_context(context) };
    check("proxy_set_effective_context", code)
}

pub(crate) fn get_property(path: &[u8]) -> Result<Vec<u8>, HostError> {
    returned("proxy_get_property", |data, size| {
        // SAFETY: a live slice, which the host only reads, and two locals of `returned`.
        unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) }
    })
}

pub(crate) fn set_property(path: &[u8], value: &[u8]) -> Result<(), HostError> {
    // SAFETY: pointers and lengths of live slices, which the host only reads.
    let code = unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) };
    check("proxy_set_property", code)
}

pub(crate) fn call_foreign_function(name: &[u8], arguments: &[u8]) -> Result<Vec<u8>, HostError> {
    returned("proxy_call_foreign_function", |data, size| {
        // SAFETY: live slices, which the host only reads, and two locals of `returned`.
        unsafe {
            proxy_call_foreign_function(
                name.as_ptr(),
                name.len(),
                arguments.as_ptr(),
                arguments.len(),
                data,
                size,
            )
        }
    })
}

pub(crate) fn define_metric(kind: MetricType, name: &[u8]) -> Result<u32, HostError> {
    let mut id: u32 = 0;
    // SAFETY: a live slice, which the host only reads, and a local that is alive during the call.
    let code = unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) };
    check("proxy_define_metric", code)?;
    Ok(id)
}

pub(crate) fn increment_metric(id: u32, offset: i64) -> Result<(), HostError> {
    // SAFETY: no pointers.
    let code = unsafe { proxy_increment_metric(id, offset) };
    check("proxy_increment_metric", code)
}

pub(crate) fn record_metric(id: u32, value: u64) -> Result<(), HostError> {
    // SAFETY: no pointers.
    let code = unsafe { proxy_record_metric(id, value) };
    check("proxy_record_metric", code)
}

pub(crate) fn get_shared_data(key: &[u8]) -> Result<(Vec<u8>, u32), HostError> {
    let mut cas: u32 = 0;
    let value = returned("proxy_get_shared_data", |data, size| {
        // SAFETY: a live slice, which the host only reads, and locals that are alive during the call.
        unsafe { proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut cas) }
    })?;
    Ok((value, cas))
}

pub(crate) fn set_shared_data(key: &[u8], value: &[u8], cas: u32) -> Result<(), HostError> {
    // SAFETY: pointers and lengths of live slices, which the host only reads.
    let code = unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) };
    check("proxy_set_shared_data", code)
}

/// By the SDK, which must remember which context the token belongs to. It panics on any status but Ok, BadArgument and
/// InternalFailure; Envoy's `httpCall` returns only these three (and proxy-wasm-cpp-host, in front of it, only
/// InvalidMemoryAccess and BadArgument for pointers and maps that the SDK always passes right).
pub(crate) fn http_call(
    cluster: &str,
    headers: Vec<(&str, &str)>,
    body: &[u8],
    timeout: Duration,
) -> Result<u32, HostError> {
    let body = if body.is_empty() { None } else { Some(body) };
    proxy_wasm::hostcalls::dispatch_http_call(cluster, headers, body, Vec::new(), timeout).map_err(|status| {
        // What a status that is an error is called by its number cannot be Ok.
        let status = Status::from_code(status as u32).unwrap_or(Status::InternalFailure);
        HostError::Status { call: "proxy_http_call", status }
    })
}

/// By the SDK, which also installs its panic hook.
pub(crate) fn set_log_level(level: proxy_wasm::types::LogLevel) {
    proxy_wasm::set_log_level(level);
}
