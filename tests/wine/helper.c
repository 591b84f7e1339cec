/* What the tests under Wine need from Windows itself, one subcommand each:
 *
 *   credentials       every credential: target, user, persistence, secret; tab-separated, in UTF-8
 *   clipboard         the text of the clipboard, and which formats keep it out of its history
 *   arguments CODE …  prints its arguments and the key in its environment, and exits with CODE
 *   hold FILE         opens a file without sharing, prints "held", and keeps it until input ends
 *   wait              prints "waiting", and exits with 42 on ctrl-c
 */
#include <stdio.h>
#include <string.h>
#include <wchar.h>
#include <windows.h>
#include <wincred.h>

static void print_utf8(const WCHAR *text, int length) {
    char bytes[16384];
    int size = text ? WideCharToMultiByte(CP_UTF8, 0, text, length, bytes, sizeof bytes, NULL, NULL) : 0;
    /* A length of -1 includes the zero at the end. */
    fwrite(bytes, 1, size && length < 0 ? size - 1 : size, stdout);
}

static int credentials(void) {
    DWORD count = 0;
    PCREDENTIALW *list = NULL;
    if (!CredEnumerateW(NULL, 0, &count, &list)) return GetLastError() == ERROR_NOT_FOUND ? 0 : 1;
    for (DWORD n = 0; n < count; n++) {
        PCREDENTIALW one = NULL;
        if (!CredReadW(list[n]->TargetName, list[n]->Type, 0, &one)) return 1;
        print_utf8(one->TargetName, -1);
        putchar('\t');
        print_utf8(one->UserName, -1);
        printf("\t%lu\t", one->Persist);
        print_utf8((const WCHAR *)one->CredentialBlob, one->CredentialBlobSize / 2);
        putchar('\n');
        CredFree(one);
    }
    CredFree(list);
    return 0;
}

static int clipboard(void) {
    static const WCHAR *hints[] = {L"ExcludeClipboardContentFromMonitorProcessing",
                                   L"CanIncludeInClipboardHistory", L"CanUploadToCloudClipboard"};
    if (!OpenClipboard(NULL)) return 1;
    HANDLE data = GetClipboardData(CF_UNICODETEXT);
    if (data) print_utf8(GlobalLock(data), -1);
    putchar('\n');
    for (int n = 0; n < 3; n++)
        if (IsClipboardFormatAvailable(RegisterClipboardFormatW(hints[n]))) {
            print_utf8(hints[n], -1);
            putchar('\n');
        }
    CloseClipboard();
    return 0;
}

static int arguments(int count, WCHAR **values) {
    static const WCHAR *names[] = {L"OPENROUTER_API_KEY", L"OPENROUTER_MANAGEMENT_KEY"};
    for (int n = 3; n < count; n++) {
        print_utf8(values[n], -1);
        putchar('\n');
    }
    for (int n = 0; n < 2; n++) {
        WCHAR value[256];
        DWORD length = GetEnvironmentVariableW(names[n], value, 256);
        printf("%d:", n);
        print_utf8(value, length);
        putchar('\n');
    }
    return _wtoi(values[2]);
}

static int hold(const WCHAR *path) {
    HANDLE file = CreateFileW(path, GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE) return 1;
    puts("held");
    fflush(stdout);
    getchar();
    CloseHandle(file);
    return 0;
}

static HANDLE interrupted;

static BOOL WINAPI on_event(DWORD event) {
    return event == CTRL_C_EVENT && SetEvent(interrupted);
}

static int wait_for_ctrl_c(void) {
    interrupted = CreateEventW(NULL, TRUE, FALSE, NULL);
    SetConsoleCtrlHandler(on_event, TRUE);
    puts("waiting");
    fflush(stdout);
    return WaitForSingleObject(interrupted, 20000) == WAIT_OBJECT_0 ? 42 : 1;
}

int wmain(int count, WCHAR **values) {
    const WCHAR *name = count > 1 ? values[1] : L"";
    if (!wcscmp(name, L"credentials")) return credentials();
    if (!wcscmp(name, L"clipboard")) return clipboard();
    if (!wcscmp(name, L"arguments") && count > 2) return arguments(count, values);
    if (!wcscmp(name, L"hold") && count > 2) return hold(values[2]);
    if (!wcscmp(name, L"wait")) return wait_for_ctrl_c();
    return 100;
}
