//! Games that run as containers.

/// A game that runs as a container. Its command and its environment may hold placeholders.
///
/// A container gets no new privileges, no capabilities but the named ones, and a network of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Reference of the image, with a tag or a digest.
    pub image: String,
    /// Program and its first arguments, in place of the image's `ENTRYPOINT`; empty for that.
    pub entrypoint: Vec<String>,
    /// Arguments, in place of the image's `CMD`; empty for that.
    pub command: Vec<String>,
    /// Account in the container; `None` for one of the server's own on a machine, and the image's own on Agones.
    pub user: Option<ContainerUser>,
    /// Folders of the server's world, and where the container has them.
    pub mounts: Vec<Mount>,
    /// Capabilities that the container keeps, as in capabilities(7): `SYS_NICE`.
    pub capabilities: Vec<String>,
    /// Whether the container can write to its mounts and its temporary folders alone.
    pub is_read_only: bool,
    /// Folders for temporary files, which are memory.
    pub temporary: Vec<String>,
    /// Whether the game listens on the very ports that players use, which placeholders tell it. Otherwise the game listens
    /// on the ports of the catalogue, and the engine translates them.
    pub has_public_ports: bool,
}

/// Account of a container's programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContainerUser {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Folder of a server's world in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Name of the folder within the world; empty for the whole world.
    pub folder: String,
    /// Absolute path in the container.
    pub path: String,
}
