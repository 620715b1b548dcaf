//! Which GPUs compute a model, and how many of its layers: as many as fit, unless the
//! configuration says. Pure: what there is and what is needed come in.

use super::need::Need;
use super::{Device, DeviceKind};
use crate::{Config, LoadError};

/// What was decided, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::backend) struct Choice {
    /// llama.cpp's numbers of the GPUs, the main one first; none: the processor alone.
    pub(in crate::backend) devices: Vec<usize>,
    /// How many layers they have, the output counted as one.
    pub(in crate::backend) layers: u32,
    /// In words: `all 31 layers on Vulkan0 (NVIDIA …)`.
    pub(in crate::backend) what: String,
    /// In words.
    pub(in crate::backend) why: String,
}

/// Decides; `need` is asked only if it matters.
pub(super) fn choose(
    here: &[Device],
    need: impl FnOnce() -> Option<Need>,
    config: &Config,
) -> Result<Choice, LoadError> {
    let gpus: Vec<_> = here.iter().filter(|device| device.is_gpu()).collect();
    let gpus = match &config.devices {
        Some(named) => find(named, here)?,
        None => by_themselves(&gpus),
    };
    if gpus.is_empty() {
        return Ok(processor(match &config.devices {
            Some(_) => "engine.devices names no GPU",
            None => "no GPU is here that this build can drive",
        }));
    }
    if config.gpu_layers == Some(0) {
        return Ok(processor("engine.gpu_layers = 0"));
    }
    let Some(need) = need() else {
        let layers = config.gpu_layers.unwrap_or(u32::MAX >> 1);
        return Ok(on(&gpus, layers, "all".to_owned(), "its head does not tell what layers take".to_owned()));
    };
    let all = need.layers.len();
    if let Some(layers) = config.gpu_layers {
        let layers = (layers as usize).min(all);
        return Ok(some(&gpus, layers, all, format!("engine.gpu_layers = {layers}")));
    }
    let room = |gpu: &Device| gpu.room(config).saturating_sub(need.beside);
    let fitting = |room| (1..=all).rev().find(|&layers| need.of_last(layers) <= room).unwrap_or(0);
    // Layers are whole, so each of several may have room left for less than one.
    let largest = need.layers.iter().copied().max().unwrap_or_default();
    let left = if gpus.len() > 1 { largest } else { 0 };
    let layers = fitting(gpus.iter().map(|gpu| room(gpu).saturating_sub(left)).sum());
    // One that has room for as much needs no others: between them numbers would travel.
    let roomiest = gpus.iter().copied().max_by_key(|gpu| room(gpu)).filter(|_| config.devices.is_none());
    if let Some((gpu, alone)) = roomiest.map(|gpu| (gpu, fitting(room(gpu))))
        && alone > 0
        && alone >= layers
    {
        return Ok(some(&[gpu], alone, all, fits(&need, alone, gpu.room(config))));
    }
    let total = gpus.iter().map(|gpu| gpu.room(config)).sum();
    if layers == 0 {
        return Ok(processor(&format!(
            "no layer fits: its last takes {} MiB and a step {} MiB more, of {} MiB free",
            mib(need.of_last(1)),
            mib(need.beside),
            mib(total)
        )));
    }
    Ok(some(&gpus, layers, all, fits(&need, layers, total)))
}

/// The GPUs used unless said otherwise: those with memory of their own, or else the others.
fn by_themselves<'d>(gpus: &[&'d Device]) -> Vec<&'d Device> {
    let of = |kind| gpus.iter().copied().filter(|gpu| gpu.kind == kind).collect::<Vec<_>>();
    let own = of(DeviceKind::Gpu);
    if own.is_empty() { of(DeviceKind::Integrated) } else { own }
}

/// The GPUs of these names; the processor may be named, and is always there.
fn find<'d>(named: &[String], here: &'d [Device]) -> Result<Vec<&'d Device>, LoadError> {
    let mut found: Vec<&Device> = Vec::new();
    for name in named {
        let device = here.iter().find(|device| device.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
            let there: Vec<_> = here.iter().map(|device| device.to_string()).collect();
            LoadError::Config {
                name: "devices".to_owned(),
                reason: format!("there is no `{name}` here; there is {}", there.join(", ")),
            }
        })?;
        if device.is_gpu() && !found.contains(&device) {
            found.push(device);
        }
    }
    Ok(found)
}

fn processor(why: &str) -> Choice {
    Choice { devices: Vec::new(), layers: 0, what: "the processor".to_owned(), why: why.to_owned() }
}

fn some(gpus: &[&Device], layers: usize, all: usize, why: String) -> Choice {
    let many = if layers == all { format!("all {all}") } else { format!("{layers} of {all}") };
    on(gpus, u32::try_from(layers).unwrap_or(u32::MAX >> 1), many, why)
}

fn on(gpus: &[&Device], layers: u32, many: String, why: String) -> Choice {
    let names: Vec<_> = gpus.iter().map(|gpu| gpu.to_string()).collect();
    Choice {
        devices: gpus.iter().map(|gpu| gpu.index).collect(),
        layers,
        what: format!("{many} layers on {}", names.join(", ")),
        why,
    }
}

fn fits(need: &Need, layers: usize, room: u64) -> String {
    let more = if layers < need.layers.len() { "more does not fit: " } else { "" };
    format!(
        "{more}they take about {} MiB and a step {} MiB, of {} MiB free",
        mib(need.of_last(layers)),
        mib(need.beside),
        mib(room)
    )
}

impl Device {
    /// The memory that a model may take.
    fn room(&self, config: &Config) -> u64 {
        let most = config.gpu_memory_mib.map_or(u64::MAX, |mib| mib.saturating_mul(1 << 20));
        self.free_bytes.min(most)
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name, self.description)
    }
}

const fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn device(index: usize, name: &str, kind: DeviceKind, free_mib: u64) -> Device {
        let free_bytes = free_mib * MIB;
        Device {
            name: name.to_owned(),
            description: format!("a {name}"),
            backend: "Test".to_owned(),
            kind,
            free_bytes,
            total_bytes: free_bytes * 2,
            index,
        }
    }

    fn gpu(index: usize, free_mib: u64) -> Device {
        device(index, &format!("Gpu{index}"), DeviceKind::Gpu, free_mib)
    }

    /// Four layers of 100 MiB, an output of 50, and 30 beside.
    fn need() -> Option<Need> {
        Some(Need { layers: [100, 100, 100, 100, 50].map(|mib| mib * MIB).to_vec(), beside: 30 * MIB })
    }

    fn chosen(here: &[Device], config: &Config) -> (Vec<usize>, u32) {
        let choice = choose(here, need, config).unwrap();
        (choice.devices, choice.layers)
    }

    #[test]
    fn without_a_gpu_the_processor_computes() {
        let cpu = device(0, "CPU", DeviceKind::Cpu, 9000);
        let choice = choose(&[cpu], || unreachable!("not asked"), &Config::default()).unwrap();
        assert_eq!((choice.devices, choice.layers, &*choice.what), (vec![], 0, "the processor"));
    }

    #[test]
    fn all_layers_go_to_one_gpu_if_it_has_room() {
        let here = [device(0, "Igpu", DeviceKind::Integrated, 9999), gpu(1, 480), gpu(2, 490)];
        let choice = choose(&here, need, &Config::default()).unwrap();
        assert_eq!((choice.devices, choice.layers), (vec![2], 5), "the one with most room");
        assert_eq!(choice.what, "all 5 layers on Gpu2 (a Gpu2)");
        assert_eq!(choice.why, "they take about 450 MiB and a step 30 MiB, of 490 MiB free");
        assert_eq!(chosen(&here[..1], &Config::default()), (vec![0], 5), "an integrated one alone");
    }

    #[test]
    fn as_many_layers_as_fit() {
        let config = Config::default();
        assert_eq!(chosen(&[gpu(0, 479)], &config), (vec![0], 4), "without the first");
        assert_eq!(chosen(&[gpu(0, 180)], &config), (vec![0], 2), "the output and one more");
        assert_eq!(chosen(&[gpu(0, 80)], &config), (vec![0], 1));
        assert_eq!(chosen(&[gpu(0, 79)], &config), (vec![], 0));
        assert_eq!(chosen(&[gpu(0, 0)], &config), (vec![], 0));
        let choice = choose(&[gpu(0, 180)], need, &config).unwrap();
        assert_eq!(choice.what, "2 of 5 layers on Gpu0 (a Gpu0)");
        assert!(choice.why.starts_with("more does not fit"), "{}", choice.why);
    }

    #[test]
    fn several_share_what_one_cannot_hold() {
        // Each of them has 30 beside, and up to one layer's rest.
        assert_eq!(chosen(&[gpu(0, 360), gpu(1, 350)], &Config::default()), (vec![0, 1], 5));
        assert_eq!(chosen(&[gpu(0, 320), gpu(1, 320)], &Config::default()), (vec![0, 1], 4));
        assert_eq!(chosen(&[gpu(0, 305), gpu(1, 300)], &Config::default()), (vec![0], 3), "no more on both");
    }

    #[test]
    fn the_configuration_wins() {
        let here = [gpu(0, 100), gpu(1, 1000), device(2, "CPU", DeviceKind::Cpu, 9000)];
        let named = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        let default = Config::default;
        let named_one = Config { devices: named(&["gpu0"]), ..default() };
        assert_eq!(chosen(&here, &named_one), (vec![0], 1), "whatever its case");
        let both = Config { devices: named(&["Gpu1", "Gpu0"]), ..default() };
        assert_eq!(chosen(&here, &both), (vec![1, 0], 5), "in this order");
        for none in [named(&[]), named(&["CPU"])] {
            assert_eq!(chosen(&here, &Config { devices: none, ..default() }), (vec![], 0));
        }
        assert_eq!(chosen(&here, &Config { gpu_layers: Some(0), ..default() }), (vec![], 0));
        assert_eq!(chosen(&here[..1], &Config { gpu_layers: Some(3), ..default() }), (vec![0], 3));
        assert_eq!(chosen(&here[..1], &Config { gpu_layers: Some(99), ..default() }), (vec![0], 5));
        assert_eq!(chosen(&here, &Config { gpu_memory_mib: Some(180), ..default() }).1, 2);
    }

    #[test]
    fn a_name_that_is_not_there_is_an_error_that_says_what_is() {
        let config = Config { devices: Some(vec!["CUDA0".to_owned()]), ..Config::default() };
        let error = choose(&[gpu(0, 1)], need, &config).unwrap_err().to_string();
        assert_eq!(error, "engine setting devices: there is no `CUDA0` here; there is Gpu0 (a Gpu0)");
    }

    #[test]
    fn a_head_that_tells_nothing_is_left_to_llama_cpp() {
        let choice = choose(&[gpu(0, 1)], || None, &Config::default()).unwrap();
        assert_eq!((choice.devices, choice.layers), (vec![0], u32::MAX >> 1));
    }
}
