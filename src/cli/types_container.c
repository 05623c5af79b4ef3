/* SPDX-License-Identifier: Apache-2.0 */
/* define.InspectContainerData and what it holds. */
#include "cli/fields.h"
#include "cli/types.h"

/* A second name. */
#define ALSO(name_, key_, type_)                                                                   \
	{                                                                                          \
		.name = name_, .key = key_, .type = type_, .alias = true                           \
	}

#define SLICE(name_, go_, elem_) static const struct go_type name_ = {go_, GO_SLICE, elem_}
#define MAP(name_, go_, elem_)	 static const struct go_type name_ = {go_, GO_MAP, elem_}

STRUCT(health_log, "define.HealthCheckLog", S("Start"), S("End"), I("ExitCode"), S("Output"));
SLICE(health_logs, "[]define.HealthCheckLog", &health_log);
STRUCT(health, "define.HealthCheckResults", S("Status"), I("FailingStreak"),
       X("Log", &health_logs));

STRUCT(container_state, "*define.InspectContainerState", S("OciVersion"), S("Status"), B("Running"),
       B("Paused"), B("Restarting"), B("OOMKilled"), B("Dead"), I("Pid"), I("ConmonPid"),
       I("ExitCode"), S("Error"), T("StartedAt"), T("FinishedAt"), X("Health", &health),
       ALSO("Healthcheck", "Health", &health), B("Checkpointed"), S("CgroupPath"),
       T("CheckpointedAt"), T("RestoredAt"), S("CheckpointLog"), S("CheckpointPath"),
       S("RestoreLog"), B("Restored"), B("StoppedByUser"));

STRUCT(driver, "*define.DriverData", S("Name"), M("Data"));

STRUCT(mount, "define.InspectMount", S("Type"), S("Name"), S("Source"), S("Destination"),
       ALSO("Src", "Source", &go_string), ALSO("Dst", "Destination", &go_string), S("Driver"),
       S("Mode"), L("Options"), B("RW"), S("Propagation"), S("SubPath"));
SLICE(mounts, "[]define.InspectMount", &mount);

STRUCT(host_port, "define.InspectHostPort", K("HostIP", "HostIp", &go_string),
       ALSO("HostIp", "HostIp", &go_string), S("HostPort"));
SLICE(host_ports, "[]define.InspectHostPort", &host_port);
MAP(port_map, "map[string][]define.InspectHostPort", &host_ports);

STRUCT(address, "define.Address", S("Addr"), I("PrefixLength"));
SLICE(addresses, "[]define.Address", &address);
STRUCT(network, "*define.InspectAdditionalNetwork", S("EndpointID"), S("Gateway"), S("IPAddress"),
       I("IPPrefixLen"), X("SecondaryIPAddresses", &addresses), S("IPv6Gateway"),
       S("GlobalIPv6Address"), I("GlobalIPv6PrefixLen"), X("SecondaryIPv6Addresses", &addresses),
       S("MacAddress"), K("AdditionalMacAddresses", "AdditionalMACAddresses", &go_strings),
       S("NetworkID"), M("DriverOpts"), X("IPAMConfig", &go_string_map), L("Links"), L("Aliases"));
MAP(networks, "map[string]*define.InspectAdditionalNetwork", &network);
STRUCT(network_settings, "*define.InspectNetworkSettings", S("EndpointID"), S("Gateway"),
       S("IPAddress"), I("IPPrefixLen"), X("SecondaryIPAddresses", &addresses), S("IPv6Gateway"),
       S("GlobalIPv6Address"), I("GlobalIPv6PrefixLen"), X("SecondaryIPv6Addresses", &addresses),
       S("MacAddress"), K("AdditionalMacAddresses", "AdditionalMACAddresses", &go_strings),
       S("Bridge"), S("SandboxID"), B("HairpinMode"), S("LinkLocalIPv6Address"),
       I("LinkLocalIPv6PrefixLen"), X("Ports", &port_map), S("SandboxKey"),
       X("Networks", &networks));

STRUCT(secret, "*define.InspectSecret", S("Name"), S("ID"), I("UID"), I("GID"), I("Mode"));
SLICE(secrets, "[]*define.InspectSecret", &secret);
STRUCT(container_config, "*define.InspectContainerConfig", S("Hostname"),
       K("DomainName", "Domainname", &go_string), ALSO("Domainname", NULL, &go_string), S("User"),
       B("AttachStdin"), B("AttachStdout"), B("AttachStderr"), B("Tty"), B("OpenStdin"),
       B("StdinOnce"), L("Env"), L("Cmd"), S("Image"), X("Volumes", &go_map), S("WorkingDir"),
       X("Entrypoint", NULL), X("OnBuild", &go_string_pointer), M("Labels"), M("Annotations"),
       X("StopSignal", NULL), X("Healthcheck", NULL), S("HealthcheckOnFailureAction"),
       L("CreateCommand"), S("Timezone"), B("SystemdMode"), S("Umask"), X("Secrets", &secrets),
       I("Timeout"), I("StopTimeout"), B("Passwd"), K("SdNotifyMode", "sdNotifyMode", &go_string),
       K("SdNotifySocket", "sdNotifySocket", &go_string), M("ExposedPorts"));

STRUCT(log_config, "*define.InspectLogConfig", S("Type"), M("Config"), S("Path"), S("Tag"),
       S("Size"));
STRUCT(restart_policy, "*define.InspectRestartPolicy", S("Name"), I("MaximumRetryCount"));
STRUCT(device, "define.InspectDevice", S("PathOnHost"), S("PathInContainer"),
       S("CgroupPermissions"));
SLICE(devices, "[]define.InspectDevice", &device);
STRUCT(ulimit, "define.InspectUlimit", S("Name"), I("Soft"), I("Hard"));
SLICE(ulimits, "[]define.InspectUlimit", &ulimit);
STRUCT(throttle, "define.InspectBlkioThrottleDevice", S("Path"), I("Rate"));
SLICE(throttles, "[]define.InspectBlkioThrottleDevice", &throttle);
STRUCT(weight, "define.InspectBlkioWeightDevice", S("Path"), I("Weight"));
SLICE(weights, "[]define.InspectBlkioWeightDevice", &weight);
STRUCT(id_mappings, "*define.InspectIDMappings", K("UIDMap", "UidMap", &go_strings),
       K("GIDMap", "GidMap", &go_strings), ALSO("UidMap", NULL, &go_strings),
       ALSO("GidMap", NULL, &go_strings));
SLICE(ints, "[]uint", &go_int);
STRUCT(host_config, "*define.InspectContainerHostConfig", L("Binds"), S("CgroupManager"),
       S("CgroupMode"), S("ContainerIDFile"), X("LogConfig", &log_config), S("NetworkMode"),
       X("PortBindings", &port_map), X("RestartPolicy", &restart_policy), B("AutoRemove"),
       B("AutoRemoveImage"), M("Annotations"), S("VolumeDriver"), L("VolumesFrom"), L("CapAdd"),
       L("CapDrop"), L("Dns"), L("DnsOptions"), L("DnsSearch"), L("ExtraHosts"), L("GroupAdd"),
       S("HostsFile"), S("IpcMode"), S("Cgroup"), S("Cgroups"), L("Links"), I("OomScoreAdj"),
       S("PidMode"), B("Privileged"), B("PublishAllPorts"), B("ReadonlyRootfs"), L("SecurityOpt"),
       M("Tmpfs"), S("UTSMode"), S("UsernsMode"), X("IDMappings", &id_mappings), I("ShmSize"),
       S("Runtime"), X("ConsoleSize", &ints), S("Isolation"), I("CpuShares"), I("Memory"),
       I("NanoCpus"), S("CgroupParent"), I("BlkioWeight"), X("BlkioWeightDevice", &weights),
       X("BlkioDeviceReadBps", &throttles), X("BlkioDeviceWriteBps", &throttles),
       X("BlkioDeviceReadIOps", &throttles), X("BlkioDeviceWriteIOps", &throttles), I("CpuPeriod"),
       I("CpuQuota"), I("CpuRealtimePeriod"), I("CpuRealtimeRuntime"), S("CpusetCpus"),
       S("CpusetMems"), X("Devices", &devices), I("DiskQuota"), I("KernelMemory"),
       I("MemoryReservation"), I("MemorySwap"), I("MemorySwappiness"), B("OomKillDisable"),
       B("Init"), I("PidsLimit"), X("Ulimits", &ulimits), I("CpuCount"), I("CpuPercent"),
       I("IOMaximumIOps"), I("IOMaximumBandwidth"), M("CgroupConf"), S("IntelRdtClosID"));

static const struct go_field container_fields[] = {K("ID", "Id", &go_string),
						   ALSO("Id", NULL, &go_string),
						   T("Created"),
						   S("Path"),
						   L("Args"),
						   X("State", &container_state),
						   S("Image"),
						   ALSO("ImageID", "Image", &go_string),
						   S("ImageDigest"),
						   S("ImageName"),
						   S("Rootfs"),
						   S("Pod"),
						   S("ResolvConfPath"),
						   S("HostnamePath"),
						   S("HostsPath"),
						   S("StaticDir"),
						   S("OCIConfigPath"),
						   S("OCIRuntime"),
						   S("ConmonPidFile"),
						   S("PidFile"),
						   S("Name"),
						   I("RestartCount"),
						   S("Driver"),
						   S("MountLabel"),
						   S("ProcessLabel"),
						   S("AppArmorProfile"),
						   L("EffectiveCaps"),
						   L("BoundingCaps"),
						   L("ExecIDs"),
						   X("GraphDriver", &driver),
						   X("SizeRw", &go_int_pointer),
						   X("SizeRootFs", &go_int_pointer),
						   X("Mounts", &mounts),
						   L("Dependencies"),
						   X("NetworkSettings", &network_settings),
						   S("Namespace"),
						   B("IsInfra"),
						   B("IsService"),
						   S("KubeExitCodePropagation"),
						   K("LockNumber", "lockNumber", &go_int),
						   X("Config", &container_config),
						   X("HostConfig", &host_config),
						   B("UseImageHosts"),
						   B("UseImageHostname"),
						   {}};

/* Podman's inspect ranges over interfaces, which is what its errors name. */
const struct go_type type_container = {"interface {}", GO_STRUCT, NULL, container_fields};
