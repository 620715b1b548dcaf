//! The chips of this machine: which there are, and which of them compute a model.
//!
//! `modules` finds the kernels of a portable build, `cpus` reads what the system tells of
//! processors, `numa` decides how threads are spread over several memories; `need` reads
//! from a model's head what its layers take, `choose` which GPUs hold how many of them.

mod choose;
mod cpus;
mod modules;
mod need;
mod numa;

use std::ffi::{CStr, c_char};
use std::path::Path;
use std::sync::OnceLock;

use llama_cpp_2::LlamaBackendDeviceType;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_sys_2 as sys;
use serde::{Deserialize, Serialize};

pub(super) use choose::Choice;
pub(super) use cpus::Cpus;
pub use numa::Numa;

use super::log;
use crate::{Config, LoadError};

/// A chip that models can be computed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// What `engine.devices` calls it: `Vulkan0`, `CUDA1`, `CPU`.
    pub name: String,
    /// What its maker calls it.
    pub description: String,
    /// How it is driven: `CPU`, `Vulkan`, `CUDA` …
    pub backend: String,
    /// What it is.
    pub kind: DeviceKind,
    /// Memory that nobody has, in bytes, as its driver tells.
    pub free_bytes: u64,
    /// All of its memory, in bytes.
    pub total_bytes: u64,
    /// llama.cpp's number of it.
    #[serde(skip)]
    pub(super) index: usize,
}

/// What kind of chip it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// The processor itself.
    Cpu,
    /// A graphics processor with memory of its own.
    Gpu,
    /// A graphics processor that has the machine's memory.
    Integrated,
    /// What helps the processor with some of its work.
    Accelerator,
}

/// How layers are spread over several GPUs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GpuSplit {
    /// Whole layers on each.
    #[default]
    Layer,
    /// Each matrix by its rows, where the driver can; faster only over fast links.
    Row,
}

/// Sets llama.cpp up, once per process: the first configuration counts. Before a worker
/// is shut in, since kernels and drivers are files.
///
/// # Errors
/// [`LoadError::Kernels`]: a portable build lacks its modules.
pub(crate) fn start(config: &Config) -> Result<&'static LlamaBackend, LoadError> {
    static BACKEND: OnceLock<LlamaBackend> = OnceLock::new();
    if let Some(backend) = BACKEND.get() {
        return Ok(backend);
    }
    log::install();
    modules::load()?;
    Ok(BACKEND.get_or_init(|| {
        let init = match numa::strategy(config.numa, &Cpus::here()) {
            Some(strategy) => LlamaBackend::init_numa(strategy),
            None => LlamaBackend::init(),
        };
        init.expect("set up only here, once")
    }))
}

/// All chips that this build can drive and that are here, the processor last.
///
/// # Errors
/// [`LoadError::Kernels`]: a portable build lacks its modules.
pub fn devices(config: &Config) -> Result<Vec<Device>, LoadError> {
    start(config)?;
    let kind = |kind| match kind {
        LlamaBackendDeviceType::Cpu => Some(DeviceKind::Cpu),
        LlamaBackendDeviceType::Gpu => Some(DeviceKind::Gpu),
        LlamaBackendDeviceType::IntegratedGpu => Some(DeviceKind::Integrated),
        LlamaBackendDeviceType::Accelerator => Some(DeviceKind::Accelerator),
        LlamaBackendDeviceType::Unknown => None,
    };
    let listed = llama_cpp_2::list_llama_ggml_backend_devices();
    let known = listed.into_iter().filter_map(|device| {
        Some(Device {
            kind: kind(device.device_type)?,
            name: device.name,
            description: device.description.trim().to_owned(),
            backend: device.backend,
            free_bytes: device.memory_free as u64,
            total_bytes: device.memory_total as u64,
            index: device.index,
        })
    });
    Ok(known.collect())
}

/// Whether a GPU may compute models as they are configured: if so, its kernels choose
/// their way by the size of a batch, and its driver needs more than a model does.
pub(crate) fn gpus(config: &Config) -> bool {
    let here = || devices(config).is_ok_and(|devices| devices.iter().any(Device::is_gpu));
    config.gpu_layers != Some(0) && config.devices.as_ref().is_none_or(|named| !named.is_empty()) && here()
}

/// Decides what computes the model at `path`.
pub(super) fn place(path: &Path, config: &Config) -> Result<Choice, LoadError> {
    let devices = devices(config)?;
    // The head is only read where it matters.
    let need = || need::of(path, config);
    choose::choose(&devices, need, config)
}

/// What the processor's kernels were compiled for: in a portable build the module that
/// was chosen for it (`haswell`), and instruction sets in any.
///
/// # Errors
/// [`LoadError::Kernels`]: a portable build lacks its modules.
pub fn kernels(config: &Config) -> Result<String, LoadError> {
    start(config)?;
    let sets = instruction_sets().join(" ");
    Ok(match modules::chosen() {
        Some(module) => format!("{module} ({sets})"),
        None => sets,
    })
}

/// The instruction sets that the processor's kernels use, as ggml names them.
fn instruction_sets() -> Vec<String> {
    type Features = unsafe extern "C" fn(sys::ggml_backend_reg_t) -> *const sys::ggml_backend_feature;
    let text = |text: *const c_char| {
        // SAFETY: ggml's names are NUL-terminated and live as long as the program.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    };
    let mut sets = Vec::new();
    // SAFETY: the processor's device is there after `start`, its registration with it; the
    // function of that name has that type (ggml-backend.h), and its list ends with a null.
    unsafe {
        let device = sys::ggml_backend_dev_by_type(sys::GGML_BACKEND_DEVICE_TYPE_CPU);
        if device.is_null() {
            return sets;
        }
        let registered = sys::ggml_backend_dev_backend_reg(device);
        let function =
            sys::ggml_backend_reg_get_proc_address(registered, c"ggml_backend_get_features".as_ptr());
        if function.is_null() {
            return sets;
        }
        let features = std::mem::transmute::<*mut std::ffi::c_void, Features>(function);
        let mut feature = features(registered);
        while !feature.is_null() && !(*feature).name.is_null() {
            // The others are ways of building it.
            let (name, value) = (text((*feature).name), text((*feature).value));
            if value == "1" && !["OPENMP", "REPACK", "LLAMAFILE", "KLEIDIAI"].contains(&name.as_str()) {
                sets.push(name);
            }
            feature = feature.add(1);
        }
    }
    sets
}

impl Device {
    /// It is no part of the processor.
    pub fn is_gpu(&self) -> bool {
        matches!(self.kind, DeviceKind::Gpu | DeviceKind::Integrated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_a_device_and_says_what_it_can() {
        let config = Config::default();
        let devices = devices(&config).unwrap();
        let cpu = devices.iter().find(|device| device.kind == DeviceKind::Cpu).unwrap();
        assert!(cpu.total_bytes >= cpu.free_bytes && cpu.free_bytes > 0, "{cpu:?}");
        let kernels = kernels(&config).unwrap();
        if cfg!(all(target_arch = "x86_64", target_feature = "avx2")) {
            assert!(kernels.split(' ').any(|set| set == "AVX2"), "{kernels}");
        }
    }

    #[test]
    fn a_build_without_drivers_has_no_gpu() {
        let driven = cfg!(any(
            feature = "cuda",
            feature = "rocm",
            feature = "metal",
            feature = "vulkan",
            feature = "opencl"
        ));
        assert!(driven || !gpus(&Config::default()));
        assert!(!gpus(&Config { gpu_layers: Some(0), ..Config::default() }));
        assert!(!gpus(&Config { devices: Some(Vec::new()), ..Config::default() }));
    }
}
