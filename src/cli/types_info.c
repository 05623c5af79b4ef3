/* SPDX-License-Identifier: Apache-2.0 */
/* define.Info and define.Version: CamelCase in templates, other spellings in JSON. */
#include "cli/fields.h"
#include "cli/types.h"

STRUCT(conmon, "*define.ConmonInfo", K("Package", "package", &go_string),
       K("Path", "path", &go_string), K("Version", "version", &go_string));
STRUCT(cpu, "*define.CPUUsage", K("UserPercent", "userPercent", &go_float),
       K("SystemPercent", "systemPercent", &go_float), K("IdlePercent", "idlePercent", &go_float));
STRUCT(distribution, "define.DistributionInfo", K("Distribution", "distribution", &go_string),
       K("Variant", "variant", &go_string), K("Version", "version", &go_string),
       K("Codename", "codename", &go_string));
STRUCT(oci, "*define.OCIRuntimeInfo", K("Name", "name", &go_string),
       K("Package", "package", &go_string), K("Path", "path", &go_string),
       K("Version", "version", &go_string));
STRUCT(network, "define.NetworkInfo", K("Backend", "backend", &go_string),
       K("Version", "version", &go_string), K("Package", "package", &go_string),
       K("Path", "path", &go_string));
STRUCT(remote_socket, "*define.RemoteSocket", K("Path", "path", &go_string),
       K("Exists", "exists", &go_bool));
STRUCT(security, "define.SecurityInfo", K("AppArmorEnabled", "apparmorEnabled", &go_bool),
       K("DefaultCapabilities", "capabilities", &go_string), K("Rootless", "rootless", &go_bool),
       K("SECCOMPEnabled", "seccompEnabled", &go_bool),
       K("SECCOMPProfilePath", "seccompProfilePath", &go_string),
       K("SELinuxEnabled", "selinuxEnabled", &go_bool));
STRUCT(host, "*define.HostInfo", K("Arch", "arch", &go_string),
       K("BuildahVersion", "buildahVersion", &go_string),
       K("CgroupManager", "cgroupManager", &go_string),
       K("CgroupsVersion", "cgroupVersion", &go_string),
       K("CgroupControllers", "cgroupControllers", &go_strings), K("Conmon", "conmon", &conmon),
       K("CPUs", "cpus", &go_int), K("CPUUtilization", "cpuUtilization", &cpu),
       K("DatabaseBackend", "databaseBackend", &go_string),
       K("Distribution", "distribution", &distribution),
       K("EventLogger", "eventLogger", &go_string), K("Hostname", "hostname", &go_string),
       K("IDMappings", "idMappings", &go_map), K("Kernel", "kernel", &go_string),
       K("LogDriver", "logDriver", &go_string), K("MemFree", "memFree", &go_int),
       K("MemTotal", "memTotal", &go_int), K("NetworkBackend", "networkBackend", &go_string),
       K("NetworkBackendInfo", "networkBackendInfo", &network), K("OCIRuntime", "ociRuntime", &oci),
       K("OS", "os", &go_string), K("RemoteSocket", "remoteSocket", &remote_socket),
       K("ServiceIsRemote", "serviceIsRemote", &go_bool), K("Security", "security", &security),
       K("SwapFree", "swapFree", &go_int), K("SwapTotal", "swapTotal", &go_int),
       K("Uptime", "uptime", &go_string));

STRUCT(plugins, "define.Plugins", K("Volume", "volume", &go_strings),
       K("Network", "network", &go_strings), K("Log", "log", &go_strings),
       K("Authorization", "authorization", &go_strings));

STRUCT(containers, "define.ContainerStore", K("Number", "number", &go_int),
       K("Paused", "paused", &go_int), K("Running", "running", &go_int),
       K("Stopped", "stopped", &go_int));
STRUCT(images, "define.ImageStore", K("Number", "number", &go_int));
STRUCT(store, "*define.StoreInfo", K("ConfigFile", "configFile", &go_string),
       K("ContainerStore", "containerStore", &containers),
       K("GraphDriverName", "graphDriverName", &go_string),
       K("GraphOptions", "graphOptions", &go_map), K("GraphRoot", "graphRoot", &go_string),
       K("GraphRootAllocated", "graphRootAllocated", &go_int),
       K("GraphRootUsed", "graphRootUsed", &go_int),
       K("GraphStatus", "graphStatus", &go_string_map),
       K("ImageCopyTmpDir", "imageCopyTmpDir", &go_string), K("ImageStore", "imageStore", &images),
       K("RunRoot", "runRoot", &go_string), K("VolumePath", "volumePath", &go_string),
       K("TransientStore", "transientStore", &go_bool));

STRUCT(version, "define.Version", K("APIVersion", NULL, &go_string), K("Version", NULL, &go_string),
       K("GoVersion", NULL, &go_string), K("GitCommit", NULL, &go_string),
       K("BuiltTime", NULL, &go_string), K("Built", NULL, &go_int), K("OsArch", NULL, &go_string),
       K("Os", NULL, &go_string));

static const struct go_field info_fields[] = {K("Host", "host", &host),
					      K("Plugins", "plugins", &plugins),
					      K("Registries", "registries", &go_map),
					      K("Store", "store", &store),
					      K("Version", "version", &version),
					      {}};
const struct go_type type_info = {"*define.Info", GO_STRUCT, NULL, info_fields};

static const struct go_field report_fields[] = {
	K("Client", NULL, &version), K("Server", NULL, &version), {}};
const struct go_type type_version = {"*entities.SystemVersionReport", GO_STRUCT, NULL,
				     report_fields};
