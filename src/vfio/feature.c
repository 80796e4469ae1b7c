/* SPDX-License-Identifier: MIT */
/*
 * VFIO_DEVICE_FEATURE: probing, getting and setting; low power; bus mastering is the command
 * register's business; tokens of SR-IOV functions.
 *
 * Tokens: who opens a virtual function shows the UUID that its physical function's user has
 * set, and the other way round while virtual functions are in use. A token that isn't
 * needed is an error.
 */
#include <ctype.h>

#include "vfio/vfio.h"

int vfio_check_feature(u32 flags, size_t argsz, u32 supported, size_t minsz)
{
	u32 op = flags & (VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET);

	if (op & ~supported)
		return -EINVAL;
	if (flags & VFIO_DEVICE_FEATURE_PROBE)
		return 0;
	if (!op || argsz < minsz)
		return -EINVAL;
	return 1;
}

static long pm_entry(struct vfio_device *vdev, u32 flags, size_t argsz)
{
	int ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, 0);

	return ret == 1 ? vfio_pm_enter(vdev, -1) : ret;
}

static long pm_entry_with_wakeup(struct vfio_device *vdev, u32 flags, void *user, size_t argsz)
{
	struct vfio_device_low_power_entry_with_wakeup entry;
	int ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, sizeof(entry)), fd;

	if (ret != 1)
		return ret;
	if (sv_copy_from_user(&entry, user, sizeof(entry)))
		return -EFAULT;
	if (entry.wakeup_eventfd < 0)
		return -EINVAL;
	fd = vfio_eventfd_get(entry.wakeup_eventfd);
	if (fd < 0)
		return fd;
	ret = vfio_pm_enter(vdev, fd);
	if (ret)
		vfio_eventfd_put(fd);
	return ret;
}

static long pm_leave(struct vfio_device *vdev, u32 flags, size_t argsz)
{
	int ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, 0);

	if (ret == 1) {
		vfio_pm_exit(vdev);
		ret = 0;
	}
	return ret;
}

/* Setting only: what the last user set is nobody's business. */
static long vf_token(struct vfio_device *vdev, u32 flags, void *user, size_t argsz)
{
	u8 uuid[16];
	int ret;

	if (!vdev->pdev->cfg.physfn)
		return -ENOTTY;
	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, sizeof(uuid));
	if (ret != 1)
		return ret;
	if (sv_copy_from_user(uuid, user, sizeof(uuid)))
		return -EFAULT;
	sv_mutex_lock(&vdev->vf_token.lock);
	memcpy(vdev->vf_token.uuid, uuid, sizeof(uuid));
	sv_mutex_unlock(&vdev->vf_token.lock);
	return 0;
}

long vfio_device_feature(struct vfio_device *vdev, void *user)
{
	const u32 ops = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET;
	size_t minsz = offsetofend(struct vfio_device_feature, flags), argsz;
	struct vfio_device_feature feature;
	void *data;

	if (sv_copy_from_user(&feature, user, minsz))
		return -EFAULT;
	if (feature.argsz < minsz)
		return -EINVAL;
	if (feature.flags & ~(VFIO_DEVICE_FEATURE_MASK | ops | VFIO_DEVICE_FEATURE_PROBE))
		return -EINVAL;
	/* Both at once only as a question. */
	if (!(feature.flags & VFIO_DEVICE_FEATURE_PROBE) && (feature.flags & ops) == ops)
		return -EINVAL;
	argsz = feature.argsz - minsz;
	data = (u8 *)user + minsz;
	switch (feature.flags & VFIO_DEVICE_FEATURE_MASK) {
	case VFIO_DEVICE_FEATURE_PCI_VF_TOKEN:
		return vf_token(vdev, feature.flags, data, argsz);
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY:
		return pm_entry(vdev, feature.flags, argsz);
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP:
		return pm_entry_with_wakeup(vdev, feature.flags, data, argsz);
	case VFIO_DEVICE_FEATURE_LOW_POWER_EXIT:
		return pm_leave(vdev, feature.flags, argsz);
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_START:
		return vfio_dma_logging_start(vdev, feature.flags, data, argsz);
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP:
		return vfio_dma_logging_stop(vdev, feature.flags, argsz);
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT:
		return vfio_dma_logging_report(vdev, feature.flags, data, argsz);
	case VFIO_DEVICE_FEATURE_DMA_BUF:
		return vfio_feature_dma_buf(vdev, feature.flags, data, argsz);
	default:
		return -ENOTTY;		/* no migration among them */
	}
}

/*
 * "bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3", 36 characters. The first three fields are stored as they
 * are read.
 */
static int uuid_parse(const char *s, u8 *out)
{
	for (unsigned i = 0, n = 0; i < 36; i++) {
		unsigned digit;

		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (s[i] != '-')
				return -EINVAL;
			continue;
		}
		if (!isxdigit((unsigned char)s[i]))
			return -EINVAL;
		digit = s[i] <= '9' ? (unsigned)(s[i] - '0') : (unsigned)((s[i] | 0x20) - 'a') + 10;
		out[n / 2] = (u8)(n & 1 ? out[n / 2] | digit : digit << 4);
		n++;
	}
	return 0;
}

struct vfio_device *vfio_device_pf(struct vfio_device *vdev)
{
	struct vfio_device *pf;

	if (!vdev->pdev->cfg.vf_of)
		return NULL;
	pf = vfio_device_get_by_pci(vdev->pdev->cfg.vf_of);
	return IS_ERR(pf) ? NULL : pf;
}

/* A virtual function: the token is its physical function's. */
static int check_vf(struct vfio_device *vdev, const u8 *uuid)
{
	struct vfio_device *pf = vfio_device_pf(vdev);
	int err = 0;

	if (!pf)
		return uuid ? -EINVAL : 0;
	sv_mutex_lock(&pf->vf_token.lock);
	if (!uuid || memcmp(uuid, pf->vf_token.uuid, 16))
		err = -EACCES;
	sv_mutex_unlock(&pf->vf_token.lock);
	vfio_device_put(pf);
	return err;
}

int vfio_check_vf_token(struct vfio_device *vdev, const u8 *uuid)
{
	int err = 0;

	if (vdev->pdev->cfg.vf_of)
		return check_vf(vdev, uuid);
	if (!vdev->pdev->cfg.physfn)
		return uuid ? -EINVAL : 0;
	sv_mutex_lock(&vdev->vf_token.lock);
	if (vdev->vf_token.users) {
		if (!uuid || memcmp(uuid, vdev->vf_token.uuid, 16))
			err = -EACCES;
	} else if (uuid) {
		memcpy(vdev->vf_token.uuid, uuid, 16);
	}
	sv_mutex_unlock(&vdev->vf_token.lock);
	return err;
}

int vfio_device_match(struct vfio_device *vdev, const char *text)
{
	static const char option[] = "vf_token=";
	size_t len = strlen(vdev->pdev->name);
	bool given = false;
	u8 uuid[16];
	int err;

	if (strncmp(text, vdev->pdev->name, len))
		return 0;
	text += len;
	if (*text && *text != ' ')
		return 0;
	while (*text) {
		if (*text == ' ') {
			text++;
			continue;
		}
		/* One option, once. */
		if (given || strncmp(text, option, sizeof(option) - 1))
			return -EINVAL;
		text += sizeof(option) - 1;
		if (strlen(text) < 36 || uuid_parse(text, uuid))
			return -EINVAL;
		given = true;
		text += 36;
	}
	err = vfio_check_vf_token(vdev, given ? uuid : NULL);
	return err ? err : 1;
}
