//! Rebuilds the crate when a migration comes, since `sqlx::migrate!` reads the folder.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=templates");
}
