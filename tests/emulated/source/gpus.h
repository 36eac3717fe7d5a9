// The GPUs of an emulated box, read from the environment.
//
//   EMULATED_GPUS   one GPU a `;`, its fields separated by `,`:
//                   name=NVIDIA A100-SXM4-80GB,capability=8.0,mib=81920,reserved=600,uuid=0000...,processors=108
//                   slices=1g.10gb/UUID/MIB/COMPUTE+...   in MIG mode, with these slices
//                   held=700                              MiB that other programs hold
//   EMULATED_WSL        as under WSL 2: segments can't be mapped, NVML knows no processes
//   EMULATED_NO_FABRIC  NVML does not say how GPUs are connected
//   EMULATED_CUDA       the newest CUDA of the driver, 13000 by default
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

constexpr size_t MIB = size_t(1) << 20;

struct Slice {
  std::string profile, uuid;
  size_t bytes = 0;
  int compute = 0;
};

struct Gpu {
  std::string name, uuid;
  int major = 0, minor = 0, processors = 0, index = 0;
  size_t bytes = 0, reserved = 0, held = 0;
  std::vector<Slice> slices;
  size_t usable() const { return bytes - reserved; }
};

inline std::vector<std::string> split(const std::string &text, char at) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t end; (end = text.find(at, begin)) != std::string::npos; begin = end + 1)
    parts.push_back(text.substr(begin, end - begin));
  parts.push_back(text.substr(begin));
  return parts;
}

inline std::string setting(const char *name, const char *otherwise = "") {
  const char *value = getenv(name);
  return value && *value ? value : otherwise;
}

inline bool is_set(const char *name) { return !setting(name).empty(); }

inline size_t mebibytes(const std::string &text) { return strtoull(text.c_str(), nullptr, 10) * MIB; }

inline Slice slice_of(const std::string &text) {
  auto part = split(text, '/');
  Slice slice;
  slice.profile = part.at(0);
  slice.uuid = part.at(1);
  slice.bytes = mebibytes(part.at(2));
  slice.compute = atoi(part.at(3).c_str());
  return slice;
}

inline Gpu gpu_of(const std::string &text) {
  Gpu gpu;
  for (auto &field : split(text, ',')) {
    size_t at = field.find('=');
    std::string key = field.substr(0, at), value = field.substr(at + 1);
    if (key == "name") gpu.name = value;
    if (key == "uuid") gpu.uuid = value;
    if (key == "mib") gpu.bytes = mebibytes(value);
    if (key == "reserved") gpu.reserved = mebibytes(value);
    if (key == "held") gpu.held = mebibytes(value);
    if (key == "processors") gpu.processors = atoi(value.c_str());
    if (key == "capability") sscanf(value.c_str(), "%d.%d", &gpu.major, &gpu.minor);
    if (key == "slices")
      for (auto &one : split(value, '+')) gpu.slices.push_back(slice_of(one));
  }
  return gpu;
}

// All GPUs of the box, whatever CUDA_VISIBLE_DEVICES says.
inline std::vector<Gpu> gpus_of_box() {
  std::vector<Gpu> found;
  std::string text = setting("EMULATED_GPUS");
  if (text.empty()) return found;
  for (auto &one : split(text, ';')) {
    found.push_back(gpu_of(one));
    found.back().index = int(found.size()) - 1;
  }
  return found;
}
