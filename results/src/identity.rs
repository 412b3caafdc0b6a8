//! Which machine a run was measured on. Guards that figures of two machines are never pooled because
//! both are called "vm".

use crate::schema::Environment;

/// Equal for runs of one machine alone: the identity that was read from it; where there is none, as
/// in runs of older programs, its host's name and the model of its CPUs.
pub fn machine_identity(environment: &Environment) -> String {
    match environment.identity.known() {
        Some(identity) => identity.clone(),
        None => format!("{} {}", environment.host, environment.cpu_model),
    }
}
