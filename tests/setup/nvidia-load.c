// Loads each library that is named, as a program would, and prints a line for each: its name, whether
// it loaded, which file that was (device and inode), and what its first call answers.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

// dladdr() wants an address; any function of the library will do.
static void *a_function(void *library, const char *const *names) {
    for (; *names; names++) {
        void *found = dlsym(library, *names);
        if (found) return found;
    }
    return NULL;
}

int main(int argc, char **argv) {
    static const char *const known[] = {"nvmlInit_v2", "cuInit", "_init", NULL};
    int failed = 0;
    for (int i = 1; i < argc; i++) {
        void *library = dlopen(argv[i], RTLD_NOW);
        if (!library) {
            printf("%s failed %s\n", argv[i], dlerror());
            failed = 1;
            continue;
        }
        printf("%s loaded", argv[i]);
        void *function = a_function(library, known);
        Dl_info where;
        struct stat file;
        if (function && dladdr(function, &where) && stat(where.dli_fname, &file) == 0)
            printf(" %llu:%llu %s", (unsigned long long)file.st_dev, (unsigned long long)file.st_ino,
                   where.dli_fname);
        int (*nvml_init)(void) = (int (*)(void))dlsym(library, "nvmlInit_v2");
        const char *(*nvml_text)(int) = (const char *(*)(int))dlsym(library, "nvmlErrorString");
        if (nvml_init && nvml_text) {
            int code = nvml_init();
            printf(" nvmlInit=%d (%s)", code, nvml_text(code));
        }
        int (*cuda_init)(unsigned) = (int (*)(unsigned))dlsym(library, "cuInit");
        if (cuda_init) printf(" cuInit=%d", cuda_init(0));
        printf("\n");
    }
    return failed;
}
