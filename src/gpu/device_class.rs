//! Classes of devices whose speed is known from their data sheets, for plans without an adapter.

use std::str::FromStr;

use super::ceilings::Ceilings;
use super::predictor::DeviceSpeed;
use crate::error::Error;

/// A device by its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeviceClass {
    /// The name on the command line and in the page's list.
    pub name: &'static str,
    /// The name in sentences.
    pub title: &'static str,
    /// What it does at most: by its cores, clocks and memory. The time of a dispatch was measured on an H100.
    pub ceilings: Ceilings,
}

impl DeviceClass {
    /// All of them, the fastest first.
    pub const ALL: [DeviceClass; 4] = [
        DeviceClass::new("h100", "NVIDIA H100", [65_000.0, 1500.0, 225.0]),
        DeviceClass::new("rtx-4060", "NVIDIA RTX 4060", [15_100.0, 272.0, 315.0]),
        DeviceClass::new("m1", "Apple M1", [2617.0, 68.0, 164.0]),
        DeviceClass::new("iris-xe", "Intel Iris Xe", [2074.0, 68.0, 60.0]),
    ];

    /// A laptop's GPU, where nothing else is known.
    pub const TYPICAL: DeviceClass = DeviceClass::ALL[2];

    const fn new(name: &'static str, title: &'static str, [gflops, gigabytes_per_second, workgroup_gflops]: [f64; 3]) -> DeviceClass {
        let ceilings = Ceilings { gflops, gigabytes_per_second, dispatch_seconds: 6.4e-6, workgroup_gflops, is_cpu: false };
        DeviceClass { name, title, ceilings }
    }

    /// Its speed.
    pub fn speed(&self) -> DeviceSpeed {
        self.ceilings.into()
    }
}

impl FromStr for DeviceClass {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let names = || DeviceClass::ALL.map(|class| class.name).join(", ");
        let class = DeviceClass::ALL.into_iter().find(|class| class.name == name);
        class.ok_or_else(|| Error::Setting(format!("there is no device \"{name}\"; there are {}, and this, the adapter at hand", names())))
    }
}
