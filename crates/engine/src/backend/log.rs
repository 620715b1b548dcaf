//! llama.cpp's log lines, sent to `tracing` at debug level and never to the terminal;
//! its last error line is kept, since llama.cpp tells why a load failed nowhere else.

use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, Once, PoisonError};

use llama_cpp_sys_2 as sys;

/// Longest error text kept, in bytes: llama.cpp may quote the file it read.
const LAST_ERROR_BYTES: usize = 512;

static LAST_ERROR: Mutex<String> = Mutex::new(String::new());

/// Redirects llama.cpp's and ggml's logs; once per process.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the callback is a plain function that lives for ever and ignores its
        // user data, so a null pointer is fine; llama_log_set also sets ggml's.
        unsafe {
            sys::llama_log_set(Some(on_line), std::ptr::null_mut());
            sys::ggml_log_set(Some(on_line), std::ptr::null_mut());
            sys::mtmd_log_set(Some(on_line), std::ptr::null_mut());
        }
    });
}

/// Forgets the last error, so that an old one is not blamed for a new failure.
pub(super) fn clear_last_error() {
    LAST_ERROR.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// The last error line, or a general word if there was none.
pub(super) fn last_error() -> String {
    let last = LAST_ERROR.lock().unwrap_or_else(PoisonError::into_inner);
    if last.is_empty() { "no reason given (try RUST_LOG=engine=debug)".to_owned() } else { last.clone() }
}

unsafe extern "C" fn on_line(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if text.is_null() {
        return;
    }
    // SAFETY: llama.cpp passes a NUL-terminated string that lives during the call.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let line = text.trim();
    // Progress dots come one at a time.
    if line.len() <= 1 {
        return;
    }
    if level == sys::GGML_LOG_LEVEL_ERROR {
        let mut last = LAST_ERROR.lock().unwrap_or_else(PoisonError::into_inner);
        last.clear();
        last.extend(line.chars().take(LAST_ERROR_BYTES));
    }
    tracing::debug!(target: "engine::llama_cpp", "{line}");
}
