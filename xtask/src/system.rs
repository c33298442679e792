//! Requirements from packages of the operating system: a Vulkan driver, browsers, Node, Python and MPI.
//!
//! On Debian and Ubuntu they are installed if that needs no password; otherwise the command to type is printed.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::process::{Result, find_program, output_of, run};

/// A requirement of a chore.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Vulkan,
    Chromium,
    Firefox,
    Node,
    Python,
    Mpi,
}

impl Need {
    fn is_met(self) -> bool {
        match self {
            Need::Vulkan => !cfg!(target_os = "linux") || (has_vulkan_driver() && has_vulkan_loader()),
            Need::Chromium => chromium().is_ok(),
            Need::Firefox => firefox().is_ok(),
            Need::Node => node().is_ok() && npm().is_ok(),
            Need::Mpi => ["mpirun", "mpicc", "clang"].into_iter().all(|name| find_program(&[name]).is_some()),
            Need::Python => output_of(Command::new(PYTHON).args(["-c", "import ensurepip, venv"])).is_some(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Need::Vulkan => "a Vulkan driver and its loader",
            Need::Chromium => "Chromium or Chrome (or its path in the variable CHROMIUM)",
            Need::Firefox => "Firefox (or its path in the variable FIREFOX)",
            Need::Node => "Node 18 or newer, with npm",
            Need::Python => "Python 3 with venv",
            Need::Mpi => "MPI with its headers, and clang",
        }
    }

    /// The packages that provide it. Ubuntu's browsers are snaps, which cannot use a fresh profile in a temporary directory.
    fn packages(self, system: System) -> Option<&'static str> {
        Some(match (self, system) {
            (Need::Vulkan, System::Debian | System::Ubuntu) => "mesa-vulkan-drivers libvulkan1",
            (Need::Vulkan, System::Fedora) => "mesa-vulkan-drivers vulkan-loader",
            (Need::Vulkan, System::Arch) => "vulkan-swrast vulkan-icd-loader",
            (Need::Chromium, System::Debian | System::Fedora | System::Arch) => "chromium",
            (Need::Chromium, System::MacOs) => "google-chrome",
            (Need::Chromium, System::Windows) => "Google.Chrome",
            (Need::Firefox, System::Debian) => "firefox-esr",
            (Need::Firefox, System::Fedora | System::Arch | System::MacOs) => "firefox",
            (Need::Firefox, System::Windows) => "Mozilla.Firefox",
            (Need::Node, System::Debian | System::Ubuntu | System::Fedora | System::Arch) => "nodejs npm",
            (Need::Node, System::MacOs) => "node",
            (Need::Node, System::Windows) => "OpenJS.NodeJS",
            (Need::Python, System::Debian | System::Ubuntu) => "python3-venv",
            (Need::Python, System::Fedora) => "python3",
            (Need::Python, System::Arch | System::MacOs) => "python",
            (Need::Python, System::Windows) => "Python.Python.3.13",
            (Need::Mpi, System::Debian | System::Ubuntu) => "libopenmpi-dev openmpi-bin libclang-dev clang",
            (Need::Mpi, System::Fedora) => "openmpi-devel clang-devel clang",
            (Need::Mpi, System::Arch) => "openmpi clang",
            (Need::Mpi, System::MacOs) => "open-mpi llvm",
            _ => return None,
        })
    }
}

/// Systems with known package names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum System {
    Debian,
    Ubuntu,
    Fedora,
    Arch,
    MacOs,
    Windows,
    Other,
}

impl System {
    fn current() -> System {
        match std::env::consts::OS {
            "linux" => System::of_linux(&std::fs::read_to_string("/etc/os-release").unwrap_or_default()),
            "macos" => System::MacOs,
            "windows" => System::Windows,
            _ => System::Other,
        }
    }

    /// A distribution, or the one that it derives from. Derivatives of Ubuntu also name Debian.
    fn of_linux(os_release: &str) -> System {
        let lines = os_release.lines().filter(|line| line.starts_with("ID=") || line.starts_with("ID_LIKE="));
        let names: Vec<&str> = lines.flat_map(|line| line.split(['=', ' ', '"'])).collect();
        let known = [
            ("ubuntu", System::Ubuntu),
            ("debian", System::Debian),
            ("fedora", System::Fedora),
            ("rhel", System::Fedora),
            ("arch", System::Arch),
        ];
        known.into_iter().find(|(name, _)| names.contains(name)).map_or(System::Other, |(_, system)| system)
    }

    fn install_command(self) -> &'static str {
        match self {
            System::Debian | System::Ubuntu => "sudo apt-get install",
            System::Fedora => "sudo dnf install",
            System::Arch => "sudo pacman -S",
            System::MacOs => "brew install",
            System::Windows => "winget install",
            System::Other => "",
        }
    }
}

/// The name of a Python that includes venv.
pub const PYTHON: &str = if cfg!(windows) { "python" } else { "python3" };

/// Ensures that all requirements are met: installs what is missing, or prints what to install.
pub fn ensure(needs: &[Need]) -> Result {
    let system = System::current();
    let missing = || needs.iter().copied().filter(|need| !need.is_met());
    let packages: Vec<&str> = missing().filter_map(|need| need.packages(system)).flat_map(str::split_whitespace).collect();
    if !packages.is_empty() && matches!(system, System::Debian | System::Ubuntu) {
        install_with_apt(&packages)?;
    }
    let missing: Vec<Need> = missing().collect();
    if missing.is_empty() { Ok(()) } else { Err(what_to_install(&missing, system)) }
}

/// Installs packages with apt if that needs no password; otherwise names the command.
fn install_with_apt(packages: &[&str]) -> Result {
    let Some(prefix) = root_prefix() else { return Ok(()) };
    let apt = |arguments: &[&str]| {
        let words = prefix.iter().chain(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]).chain(arguments);
        let words: Vec<&str> = words.copied().collect();
        run(Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()), "fix apt-get's sources, or install these packages yourself")
    };
    apt(&["update", "--quiet"])?;
    apt(&[&["install", "--quiet", "--yes", "--no-install-recommends"], packages].concat())
}

/// The prefix with which a command runs as root without a password, if there is one.
fn root_prefix() -> Option<&'static [&'static str]> {
    if output_of(Command::new("id").arg("-u")).as_deref() == Some("0") {
        return Some(&[]);
    }
    output_of(Command::new("sudo").args(["-n", "true"])).map(|_| ["sudo", "-n"].as_slice())
}

fn what_to_install(missing: &[Need], system: System) -> String {
    let names: Vec<&str> = missing.iter().map(|need| need.name()).collect();
    let packages: Vec<&str> = missing.iter().filter_map(|need| need.packages(system)).collect();
    let unpackaged: Vec<&str> = missing.iter().filter(|need| need.packages(system).is_none()).map(|need| need.name()).collect();
    let mut sentence = format!("this machine lacks {}; ", names.join(" and "));
    if !packages.is_empty() {
        sentence += &format!("run `{} {}`", system.install_command(), packages.join(" "));
    }
    if !unpackaged.is_empty() {
        let separator = if packages.is_empty() { "" } else { ", and " };
        sentence += &format!("{separator}install {} from its vendor", unpackaged.join(" and "));
    }
    sentence + ", then run this again"
}

fn has_vulkan_driver() -> bool {
    let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].iter().any(|variable| std::env::var_os(variable).is_some());
    let data = std::env::var_os("XDG_DATA_DIRS").unwrap_or_else(|| "/usr/local/share:/usr/share".into());
    let home = std::env::home_dir().map(|home| home.join(".local/share"));
    let places = std::env::split_paths(&data).chain(home).chain([PathBuf::from("/etc"), PathBuf::from("/usr/share")]);
    named || places.filter_map(|place| place.join("vulkan/icd.d").read_dir().ok()).any(|mut drivers| drivers.next().is_some())
}

/// Is there a Vulkan loader? Assumes so if the list of libraries is unavailable; the tests will show.
fn has_vulkan_loader() -> bool {
    let list = |program| output_of(Command::new(program).arg("-p"));
    list("ldconfig").or_else(|| list("/sbin/ldconfig")).is_none_or(|libraries| libraries.contains("libvulkan.so.1"))
}

/// Chromium, or Chrome, which has the same engine.
pub fn chromium() -> Result<PathBuf> {
    let names = ["google-chrome", "google-chrome-stable", "chromium", "chromium-browser"];
    let places = ["/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", r"C:\Program Files\Google\Chrome\Application\chrome.exe"];
    browser("CHROMIUM", &names, &places).ok_or_else(|| not_found(Need::Chromium))
}

pub fn firefox() -> Result<PathBuf> {
    let places = ["/Applications/Firefox.app/Contents/MacOS/firefox", r"C:\Program Files\Mozilla Firefox\firefox.exe"];
    browser("FIREFOX", &["firefox-esr", "firefox"], &places).ok_or_else(|| not_found(Need::Firefox))
}

/// The browser that a variable names, or that is in PATH or in a usual place of installers.
fn browser(variable: &str, names: &[&str], places: &[&str]) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let found = named.or_else(|| find_program(names)).or_else(|| places.iter().map(PathBuf::from).find(|path| path.is_file()))?;
    (found.is_file() && !found.starts_with("/snap")).then_some(found)
}

pub fn node() -> Result<PathBuf> {
    let is_recent = |path: &PathBuf| {
        let version = output_of(Command::new(path).arg("--version")).unwrap_or_default();
        version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok()).is_some_and(|major: u32| major >= 18)
    };
    find_program(&["node"]).filter(is_recent).ok_or_else(|| not_found(Need::Node))
}

pub fn npm() -> Result<PathBuf> {
    find_program(&["npm"]).ok_or_else(|| not_found(Need::Node))
}

fn not_found(need: Need) -> String {
    what_to_install(&[need], System::current())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_distinguished() {
        let system = |text| System::of_linux(text);
        assert_eq!(system("NAME=\"Debian GNU/Linux\"\nID=debian\n"), System::Debian);
        assert_eq!(system("ID=ubuntu\nID_LIKE=debian\n"), System::Ubuntu);
        assert_eq!(system("ID=pop\nID_LIKE=\"ubuntu debian\"\n"), System::Ubuntu);
        assert_eq!(system("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), System::Fedora);
        assert_eq!(system("ID=nixos\nHOME_URL=\"https://debian.example\"\n"), System::Other);
    }

    #[test]
    fn missing_requirements_are_named_with_the_command_to_type() {
        let sentence = what_to_install(&[Need::Vulkan, Need::Firefox], System::Debian);
        assert!(
            sentence.ends_with("run `sudo apt-get install mesa-vulkan-drivers libvulkan1 firefox-esr`, then run this again"),
            "{sentence}"
        );
    }

    #[test]
    fn requirements_without_a_package_come_from_their_vendor() {
        let sentence = what_to_install(&[Need::Vulkan, Need::Chromium], System::Ubuntu);
        assert!(sentence.contains("`sudo apt-get install mesa-vulkan-drivers libvulkan1`, and install Chromium"), "{sentence}");
    }
}
